import {
  renderAfterwardsPage,
  renderOptOutPage,
  renderProblemPage,
  renderThankYouPage,
  type OptOutPage,
  type ProblemCode,
} from '../../src/http/views.js';
import type { LanguageForm, PageList } from '../../src/http/view-frame.js';

/** Mai leaves a list of Acme's: the pages that she can be shown, in every state. */
export const baseUrl = 'https://optout.example';
export const email = 'mai@example.com';
export const receipt = '0K7Q-F3M2-P9XW-D';

export const list: PageList = {
  publicId: 'mZ7kQ2vX9cR4tY1b',
  name: 'Acme Weekly',
  operatorName: 'Acme Garden Supplies GmbH',
  postalAddress: 'Gartenstraße 12\n10115 Berlin\nGermany',
  contact: 'privacy@acme.example',
  privacyUrl: 'https://acme.example/privacy',
};

export const ownText = `# Goodbye, and *thank you*

You will get **no more mail** from us.

### If you change your mind

- Visit [our shop](https://acme.example/shop)
- Write to care@acme.example

> We were glad to have you.

1. First
2. Second

\`code\`

---

\`\`\`
a block of code
\`\`\`
`;

export const problems: readonly ProblemCode[] = [
  'not-found',
  'bad-request',
  'incomplete',
  'too-large',
  'unsupported-type',
  'too-many-requests',
  'unavailable',
  'internal',
];

export function languageForm(base = baseUrl, fields: Record<string, string> = {}): LanguageForm {
  return { action: `${base}/l/${list.publicId}`, fields };
}

/** The forms of the thank-you page. */
export function afterwards(base = baseUrl) {
  const path = `${base}/l/${list.publicId}`;
  return { token: 'AbCdEfGh'.repeat(14), undoAction: `${path}/undo`, reasonAction: `${path}/reason` };
}

export function optOutPage(language: string, changes: Partial<OptOutPage> = {}): string {
  return renderOptOutPage({
    list,
    language,
    baseUrl,
    mode: 'form',
    languageForm: languageForm(changes.baseUrl),
    ...changes,
  });
}

export function pageStates(language: string, base = baseUrl): Record<string, string> {
  const frame = { list, language, baseUrl: base };
  const long = { ...list, name: 'Donaudampfschifffahrt'.repeat(8), operatorName: 'Ç'.repeat(120) };
  const longEmail = `${'m'.repeat(240)}@example.com`;
  const page = (changes: Partial<OptOutPage>) => optOutPage(language, { baseUrl: base, ...changes });
  const states: Record<string, string> = {
    form: page({}),
    'form with a tag': page({ tag: 'offers', redirectHost: 'shop.acme.example' }),
    'form with an error': page({ email: 'mai.example.com', errorCode: 'no-at' }),
    confirm: page({ mode: 'confirm', email }),
    'confirm with a tag': page({ mode: 'confirm', email, tag: 'offers', scope: 'all' }),
    'confirm with long words': page({
      list: long,
      mode: 'confirm',
      email: longEmail,
      languageForm: languageForm(base, { email: longEmail }),
    }),
    'thank-you': renderThankYouPage({ ...frame, email, receipt, afterwards: afterwards(base) }),
    'thank-you for a tag': renderThankYouPage({ ...frame, email, tag: 'offers' }),
    'thank-you with a text': renderThankYouPage({
      ...frame,
      email,
      receipt,
      afterwards: afterwards(base),
      text: { markdown: ownText, language: 'en' },
    }),
    undone: renderAfterwardsPage({ ...frame, state: 'undone' }),
    reason: renderAfterwardsPage({ ...frame, state: 'reason' }),
    expired: renderAfterwardsPage({ ...frame, list: long, state: 'expired' }),
  };
  for (const problem of problems) {
    states[problem] = renderProblemPage({
      language,
      baseUrl: base,
      problem,
      list: problem === 'not-found' ? null : list,
      retryAfterSeconds: 30,
      errorId: problem === 'internal' ? '0f9a3c' : undefined,
      retry:
        problem === 'unavailable'
          ? { action: `${base}/l/${list.publicId}/opt-out`, fields: { email, lang: language } }
          : undefined,
      languageForm: languageForm(base),
    });
  }
  return states;
}

/** What a browser would make of the page: its elements and their attributes' names, in order. */
export function skeleton(html: string): string[] {
  const tags = html.matchAll(/<(\/?[a-z0-9!]+)((?:[^<>"]|"[^"]*")*)>/gi);
  return [...tags].map(([, name, attributes = '']) => {
    const names = [...attributes.matchAll(/([^\s="/]+)(?:="[^"]*")?/g)].map(([, attribute]) => attribute);
    return [name, ...names].join(' ');
  });
}

/** Texts that have broken out of pages; each also says what it would be to EJS, Markdown and i18next. */
export const payloads: readonly string[] = [
  '<script>window.broken = 1</script>',
  '"><img src=x onerror="window.broken = 1">',
  "'><svg/onload=window.broken=1>",
  '" autofocus onfocus="window.broken = 1',
  '</title><script>window.broken = 1</script>',
  '</textarea></style></noscript><iframe srcdoc="<script>parent.broken=1</script>">',
  '<!--><img src=x onerror=window.broken=1>-->',
  '&lt;script&gt;window.broken = 1&lt;/script&gt;',
  'javascript:window.broken=1',
  'data:text/html,<script>window.broken=1</script>',
  '<%= process.env.PATH %><%- "<b>" %>',
  '{{list}} {{- email}} $t(page.button) $& $1 $`',
  '[x](javascript:window.broken=1) ![x](https://evil.example/p.gif) <https://evil.example/"onclick=x>',
  '\u202e\u2066<b>\u2028</b>\ufeff\ud800',
  '\u0000<b\u0000>\u0000',
  '＜script＞＂＇',
  '{"__proto__":{"escapeFn":1}}',
];
