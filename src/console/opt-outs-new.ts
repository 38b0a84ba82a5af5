import { addByHand, mostLines, type AddedByHand } from '../core/opt-outs-by-hand.js';
import { md5Of } from '../core/address.js';
import { EVERYTHING } from '../core/opt-outs.js';
import { idOfOptOut } from './opt-out-search.js';
import { view, type ListVisit, type Screen } from './screen.js';

const page = view('console/opt-outs-new.ejs');
const addedPage = view('console/opt-outs-added.ejs');

/** More than this of what was taken or known is not shown one by one. */
const mostShown = 100;

/** Records opt-outs that reached the owner in another way: by mail, by telephone. */
export const newOptOuts: Screen<ListVisit> = {
  show({ t, list }) {
    return Promise.resolve(
      page(t('opt-outs-new.title'), {
        base: `/console/lists/${list.publicId}/opt-outs`,
        tags: [['', t('opt-outs.everything')], ...[...list.tags].sort().map((tag) => [tag, tag])],
        most: mostLines,
      }),
    );
  },

  async act({ deps, t, list, form, actor, now }) {
    const tag = form?.get('tag') ?? '';
    const added = await addByHand(deps, list, form?.get('addresses') ?? '', {
      ...{ tag, reason: form?.get('reason') ?? '', actor, now },
      retryMs: deps.config.databaseTimeoutMs,
    });
    return addedPage(t('opt-outs-new.title'), {
      base: `/console/lists/${list.publicId}/opt-outs`,
      added,
      shown: shownOf(added, tag === '' ? EVERYTHING : tag),
      tag: tag === '' ? null : tag,
    });
  },
};

function shownOf({ taken, known }: AddedByHand, tag: string) {
  const linked = (address: string) => ({
    address,
    id: idOfOptOut({ address_key: md5Of(address), tag: Buffer.from(tag) }),
  });
  return { taken: taken.slice(0, mostShown).map(linked), known: known.slice(0, mostShown).map(linked) };
}
