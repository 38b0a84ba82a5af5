import { liftBlock, listBlocks, type Block } from '../core/blocks.js';
import { listBursts } from '../core/bursts.js';
import { editList, type List } from '../core/lists.js';
import { listFor, listsFor } from '../core/user-rights.js';
import { Invalid, NotFound } from '../errors.js';
import { view, type AccountVisit, type Screen } from './screen.js';

const page = view('console/abuse.ejs');
const whitelistPage = view('console/abuse-whitelist.ejs');

const blocksShown = 200;
const burstsShown = 50;
/** In which somebody chooses one. */
const listsShown = 1000;

/** Who is blocked, and what was flagged, on any list of the account. */
export const abuse: Screen<AccountVisit> = {
  async show({ deps, t, account, now }) {
    const { config, db } = deps;
    const blocks = await listBlocks(db, account.id, now);
    const bursts = await listBursts(db, account.id);
    return page(t('abuse.title'), {
      blocks: blocks.slice(0, blocksShown),
      moreBlocks: Math.max(0, blocks.length - blocksShown),
      bursts: bursts.slice(0, burstsShown),
      moreBursts: Math.max(0, bursts.length - burstsShown),
      rule: {
        recipients: config.attackRecipients,
        minutes: Math.max(1, Math.round(config.attackWindowMs / 60_000)),
        blockMinutes: Math.max(1, Math.round(config.blockMs / 60_000)),
      },
    });
  },
};

/** Ends a block. */
export const blockLift: Screen<AccountVisit> = {
  async act(visit) {
    const { network } = await blockIn(visit, visit.form);
    await lift(visit, network);
    return { redirect: `/console/accounts/${visit.account.id}/abuse`, done: 'block-lifted' };
  },
};

/** Ends a block, and puts its network on the IP whitelist of a list, so that it is never blocked there again. */
export const blockWhitelist: Screen<AccountVisit> = {
  async show(visit) {
    const { deps, t, user, account, form, query } = visit;
    const block = await blockIn(visit, form ?? query);
    const lists = await listsFor(deps.db, user, account, { limit: listsShown });
    return whitelistPage(t('abuse.whitelist.title'), { block, lists });
  },
  async act(visit) {
    const { deps, user, account, actor, form } = visit;
    const { network } = await blockIn(visit, form);
    const publicId = form?.get('list') ?? '';
    if (publicId === '') throw new Invalid('list', 'missing', 'list must be one of the lists');
    const list = await listFor(deps.db, user, publicId);
    if (list.accountId !== account.id) throw new NotFound('This account has no such list.');
    await letIn(visit, list, network, actor);
    await lift(visit, network);
    return { redirect: `/console/accounts/${account.id}/abuse`, done: 'block-whitelisted' };
  },
};

/** @throws NotFound for a network that the account does not block: nothing else is let in here. */
async function blockIn({ deps, account, now }: AccountVisit, form: URLSearchParams | null): Promise<Block> {
  const blocks = await listBlocks(deps.db, account.id, now);
  const block = blocks.find(({ network }) => network === form?.get('network'));
  if (block === undefined) throw new NotFound('This account blocks no such address.');
  return block;
}

function lift({ deps, account, actor, now }: AccountVisit, network: string): Promise<void> {
  const { config, db } = deps;
  return liftBlock(db, account.id, network, { actor, windowMs: config.attackWindowMs, now });
}

/** What stands there was confirmed when it was set, and a private address is never blocked. */
async function letIn({ deps }: AccountVisit, list: List, network: string, actor: string): Promise<void> {
  const texts = list.ipWhitelist.map(({ text }) => text);
  if (texts.includes(network)) return;
  const ipWhitelist = [...texts, network].join('\n');
  const confirmed = { confirmWide: true, confirmPrivate: true };
  await editList(deps.db, list, { ipWhitelist }, { actor, ifChangedAt: list.changedAt, ...confirmed });
}
