import { z } from 'zod';
import { languages } from '../core/languages.js';
import type { ListSettings } from '../core/list-settings.js';
import { editList, getListById, type List } from '../core/lists.js';
import { addTags } from '../core/tags.js';
import { retrying } from '../db/connect.js';
import { Invalid } from '../errors.js';
import { defineOperation, nothing } from './operation.js';
import { invalid } from './problems.js';
import { listParameter } from './schemas.js';

const group = 'Lists';

/** Of each setting, its name in the core. What it may be is checked there, for all doors alike. */
const coreNames = {
  name: 'name',
  internal_name: 'internalName',
  state: 'state',
  direct_link: 'directLink',
  pixel: 'pixel',
  signed_links_only: 'signedLinksOnly',
  thank_you: 'thankYou',
  redirect_template: 'redirectTemplate',
  ip_whitelist: 'ipWhitelist',
  downloads_from_any_address: 'downloadsFromAnyAddress',
  operator_name: 'operatorName',
  postal_address: 'postalAddress',
  contact: 'contact',
  privacy_url: 'privacyUrl',
  default_language: 'defaultLanguage',
} as const satisfies Record<string, keyof ListSettings>;

const shapes = {
  name: z.string().meta({ description: 'What recipients know the list by.' }),
  internal_name: z.string().meta({ description: 'For your own people.' }),
  state: z.enum(['open', 'closed']).meta({ description: '`closed`: no downloads; opt-outs go on.' }),
  direct_link: z.enum(['confirm', 'instant']).meta({
    description: 'What a link with an address does. Mail scanners open links, too.',
  }),
  pixel: z.boolean().meta({ description: 'Whether the pixel records opt-outs.' }),
  signed_links_only: z.boolean().meta({
    description: 'Direct links, one-click and the pixel work by signed links alone.',
  }),
  thank_you: z.record(z.string().max(12), z.string()).meta({
    description: 'Markdown by language; an empty text takes the built-in one again.',
  }),
  redirect_template: z.string().meta({
    description:
      'Where recipients go afterwards; may hold {email}, {list} and {status}. Empty: the thank-you page.',
  }),
  ip_whitelist: z
    .array(z.string().max(100))
    .max(1000)
    .meta({
      description: 'Networks that may notify and download.',
      example: ['203.0.113.7', '198.51.100.0/24'],
    }),
  downloads_from_any_address: z.boolean(),
  operator_name: z.string().meta({ description: 'Who runs the list, for the foot of its pages.' }),
  postal_address: z.string(),
  contact: z.string(),
  privacy_url: z.string(),
  default_language: z.enum(languages.map(({ code }) => code) as [string, ...string[]]),
};

/** A record passes over this one name, and says nothing. */
const thankYou = z.preprocess((given, context) => {
  if (typeof given === 'object' && given !== null && Object.hasOwn(given, '__proto__')) {
    const params = { code: 'unknown' };
    context.addIssue({ code: 'custom', message: 'There is no such language.', params, path: ['__proto__'] });
  }
  return given;
}, shapes.thank_you);

const settingsAnswer = z.object(shapes).meta({ id: 'ListSettings' });

const exampleSettings = {
  name: 'Acme News',
  internal_name: 'news',
  state: 'open',
  direct_link: 'confirm',
  pixel: true,
  signed_links_only: false,
  thank_you: { en: '# Goodbye' },
  redirect_template: '',
  ip_whitelist: ['203.0.113.7', '198.51.100.0/24'],
  downloads_from_any_address: false,
  operator_name: 'Acme Garden Supplies',
  postal_address: '1 Example Street\nExample Town',
  contact: 'privacy@acme.example',
  privacy_url: 'https://acme.example/privacy',
  default_language: 'en',
};

const answers = {
  200: { description: 'The settings.', schema: settingsAnswer, example: exampleSettings },
};

export const getSettings = defineOperation({
  id: 'getSettings',
  method: 'get',
  path: '/lists/{list}/settings',
  right: 'admin',
  group,
  summary: 'Settings',
  description: 'All that its owner has set on a list, but for its tags and its cap.',
  parameters: z.strictObject({ list: listParameter }),
  query: nothing,
  body: null,
  answers,
  example: {},
  async carryOut({ deps, list }) {
    // What the door knows of it may be two seconds old.
    return { status: 200, body: told(await getListById(deps.db, list.id)) };
  },
});

export const patchSettings = defineOperation({
  id: 'patchSettings',
  method: 'patch',
  path: '/lists/{list}/settings',
  right: 'admin',
  group,
  summary: 'Change settings',
  description:
    'Those that are given; the others stay, and so do the thank-you texts of other languages. All pass, or ' +
    'nothing is changed. A cap is not set here: whoever leaves a list by it can be mailed again, which wants to ' +
    'be told (`signoff list edit --cap`).',
  parameters: z.strictObject({ list: listParameter }),
  query: nothing,
  body: {
    schema: z.strictObject({
      ...z.object({ ...shapes, thank_you: thankYou }).partial().shape,
      tags: z.array(z.string()).max(1000).optional().meta({
        description: 'Tags that the list gets to know, beside those that it knows.',
      }),
      confirm_wide: z.boolean().optional().meta({
        description: 'The whitelist may hold networks wider than /16 (IPv6: /32).',
      }),
      confirm_private: z.boolean().optional().meta({ description: 'And private addresses.' }),
    }),
    limit: 256 * 1024,
  },
  answers,
  example: { body: { operator_name: 'Acme Garden Supplies', tags: ['offers'] } },
  async carryOut({ deps: { db, config }, credential, list, body }) {
    const { tags = [], confirm_wide = false, confirm_private = false, ip_whitelist, ...rest } = body;
    const given = { ...rest, ip_whitelist: ip_whitelist?.join('\n') };
    const settings = Object.fromEntries(
      Object.entries(given).map(([name, value]) => [coreNames[name as keyof typeof coreNames], value]),
    ) as Partial<ListSettings>;
    const actor = `credential ${credential.id}`;
    const options = { actor, confirmWide: confirm_wide, confirmPrivate: confirm_private };
    const edited = await retrying(db, config.databaseTimeoutMs, () =>
      db.transaction(async (trx) => {
        // As it is now: thank-you texts are laid over those that there are.
        const standing = await getListById(trx, list.id);
        await addTags(trx, list.id, tags, { actor });
        return editList(trx, standing, settings, options);
      }),
    ).catch(inOurWords);
    return { status: 200, body: told(edited) };
  },
});

/** A setting that does not pass, by its name in this API. */
function inOurWords(error: unknown): never {
  if (!(error instanceof Invalid)) throw error;
  const [name] = Object.entries(coreNames).find(([, core]) => core === error.field) ?? [
    error.field === 'tag' ? 'tags' : error.field,
  ];
  // Of options, the core tells as the command line has them.
  const detail = error.message.replace(/--(confirm)-(\w+)/g, '`$1_$2`');
  throw invalid([{ pointer: `#/${name}`, code: error.problem, detail }]);
}

function told(list: List): unknown {
  return {
    name: list.name,
    internal_name: list.internalName,
    state: list.state,
    direct_link: list.directLink,
    pixel: list.pixel,
    signed_links_only: list.signedLinksOnly,
    thank_you: list.thankYou,
    redirect_template: list.redirect?.text ?? '',
    ip_whitelist: list.ipWhitelist.map(({ text }) => text),
    downloads_from_any_address: list.downloadsFromAnyAddress,
    operator_name: list.operatorName,
    postal_address: list.postalAddress,
    contact: list.contact,
    privacy_url: list.privacyUrl,
    default_language: list.defaultLanguage,
  };
}
