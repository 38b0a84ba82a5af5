import { parseThankYou } from '../core/thank-you.js';
import { getLanguage, hasText, isLanguage, plainSentence, sentence } from '../core/languages.js';
import { reasons } from '../core/receipts.js';
import { compile, encode, frameOf, tagOf, type LanguageForm, type PageList } from './view-frame.js';

export interface OptOutPage {
  readonly list: PageList;
  readonly language: string;
  readonly baseUrl: string;
  /** `form`: the address is typed. `confirm`: `email` is shown, and one button. */
  readonly mode: 'form' | 'confirm';
  readonly email?: string | undefined;
  /** An `AddressProblem`, or `several`; the form then says what to mend. Of no effect in mode `confirm`. */
  readonly errorCode?: string | undefined;
  /** With a tag, the form asks for `scope`: `tag` or `all`. `*` counts as none. */
  readonly tag?: string | null | undefined;
  /** Which scope is ticked; `tag` unless given. */
  readonly scope?: 'tag' | 'all' | undefined;
  readonly mailer?: string | null | undefined;
  /**
   * Where the form is sent; `{baseUrl}/l/{publicId}/opt-out` unless given. Where it is given, mode
   * `confirm` sends no `email`: the path of a signed link carries the address.
   */
  readonly action?: string | undefined;
  /** The host that a list with a redirect leads to afterwards; the page says so. */
  readonly redirectHost?: string | null | undefined;
  readonly languageForm?: LanguageForm | undefined;
}

export interface ThankYouPage {
  readonly list: PageList;
  readonly language: string;
  readonly baseUrl: string;
  /** The owner's Markdown and the language it is in (null: not known); without it the built-in text. */
  readonly text?: { readonly markdown: string; readonly language: string | null } | null | undefined;
  readonly email?: string | null | undefined;
  /** The tag that was left; null or `*` for all of the list. */
  readonly tag?: string | null | undefined;
  readonly receipt?: string | null | undefined;
  /** The forms below the text: undo, and the question why. */
  readonly afterwards?:
    { readonly token: string; readonly undoAction: string; readonly reasonAction: string } | undefined;
}

export interface AfterwardsPage {
  readonly list: PageList;
  readonly language: string;
  readonly baseUrl: string;
  /** The opt-out was taken back; the reason was noted; it is too late for either. */
  readonly state: 'undone' | 'reason' | 'expired';
}

/** 404, 400, 400 (the body broke off), 413, 415, 429, 503, 500. */
export type ProblemCode =
  | 'not-found'
  | 'bad-request'
  | 'incomplete'
  | 'too-large'
  | 'unsupported-type'
  | 'too-many-requests'
  | 'unavailable'
  | 'internal';

export interface ProblemPage {
  readonly problem: ProblemCode;
  readonly language: string;
  readonly baseUrl: string;
  /** Where the list is known, its operator is shown. */
  readonly list?: PageList | null | undefined;
  /** For `unavailable`: the Retry-After that was sent. */
  readonly retryAfterSeconds?: number | undefined;
  /** For `internal`. */
  readonly errorId?: string | undefined;
  /** A button that sends the same form once more, with these fields. */
  readonly retry?: { readonly action: string; readonly fields: Readonly<Record<string, string>> } | undefined;
  readonly languageForm?: LanguageForm | undefined;
}

const longestEmail = 320; // UTF-16 units: what the field takes, and all that a page shows of junk in a link

const optOutTemplate = compile('opt-out/page.ejs');
const thankYouTemplate = compile('opt-out/thank-you.ejs');
const afterwardsTemplate = compile('opt-out/afterwards.ejs');
const problemTemplate = compile('problem.ejs');

/** The opt-out page: a form, a form that says what is wrong, or one address and one button. */
export function renderOptOutPage(page: OptOutPage): string {
  const frame = frameOf(page, page.list, page.languageForm);
  const { t, lang } = frame;
  const base = `${frame.base}/l/${encode(page.list.publicId)}`;
  const list = page.list.name;
  const tag = tagOf(page.tag);
  const isConfirm = page.mode === 'confirm';
  const error = isConfirm || page.errorCode === undefined ? null : `address.${page.errorCode}`;
  const heading = isConfirm ? 'page.confirmTitle' : 'page.title';
  const title = plainSentence(lang, heading, { list });
  const hidden = {
    lang,
    ...(tag === null ? {} : { tag }),
    ...(page.mailer ? { mailer: page.mailer } : {}),
  };
  const email = page.email ?? '';
  return optOutTemplate({
    ...frame,
    title: error === null ? title : plainSentence(lang, 'page.errorTitle', { title }),
    heading: sentence(lang, heading, { list }),
    isConfirm,
    email: isConfirm ? email : email.slice(0, longestEmail),
    error: error && t(hasText(error) ? error : 'address.other'),
    action: page.action ?? `${base}/opt-out`,
    hidden: Object.entries(isConfirm && page.action === undefined ? { ...hidden, email } : hidden),
    otherAddressHref: `${base}?${new URLSearchParams(hidden).toString()}`,
    scope: page.scope ?? 'tag',
    scopes:
      tag === null
        ? null
        : { tag: sentence(lang, 'scope.tag', { tag, list }), all: sentence(lang, 'scope.all', { list }) },
    redirectNote: page.redirectHost ? sentence(lang, 'page.redirectNote', { host: page.redirectHost }) : null,
  });
}

/** The page after an opt-out. An owner's text that begins with a heading brings the page's heading. */
export function renderThankYouPage(page: ThankYouPage): string {
  const frame = frameOf(page, page.list);
  const { t, lang } = frame;
  const list = page.list.name;
  const tag = tagOf(page.tag);
  const own = page.text ? parseThankYou(page.text.markdown) : null;
  const ownLanguage = isLanguage(page.text?.language) ? getLanguage(page.text.language) : null;
  const message =
    tag === null ? sentence(lang, 'thankYou.all', { list }) : sentence(lang, 'thankYou.tag', { list, tag });
  return thankYouTemplate({
    ...frame,
    title: t('thankYou.title'),
    own: own && (own.title || own.blocks.length > 0) ? own : null,
    ownLang: ownLanguage?.code ?? null,
    ownDir: ownLanguage?.dir ?? 'auto',
    message,
    email: page.email ?? null,
    receipt: page.receipt ?? null,
    afterwards: page.afterwards
      ? {
          undoAction: page.afterwards.undoAction,
          reasonAction: page.afterwards.reasonAction,
          hidden: Object.entries({ lang, token: page.afterwards.token }),
          reasons: reasons.map((code) => ({ code, text: t(`reason.${code}`) })),
        }
      : null,
  });
}

/** What the forms of the thank-you page come to. */
export function renderAfterwardsPage(page: AfterwardsPage): string {
  const frame = frameOf(page, page.list);
  const texts = `afterwards.${page.state}`;
  return afterwardsTemplate({
    ...frame,
    title: frame.t(`${texts}.title`),
    message: sentence(frame.lang, `${texts}.text`, { list: page.list.name }),
    isDone: page.state !== 'expired',
  });
}

/** A page for what went wrong. It says whether anything was recorded, and what to do. */
export function renderProblemPage(page: ProblemPage): string {
  const frame = frameOf(page, page.list ?? null, page.languageForm);
  const { t } = frame;
  const texts = `problem.${page.problem}`;
  const seconds = page.problem === 'unavailable' ? page.retryAfterSeconds : undefined;
  return problemTemplate({
    ...frame,
    title: t(`${texts}.title`),
    text: t(`${texts}.text`),
    help: page.problem === 'not-found' ? t(`${texts}.help`) : null,
    retryText: seconds === undefined ? null : t(`${texts}.retry`, { count: seconds }),
    errorId: page.errorId ?? null,
    retry: page.retry ? { action: page.retry.action, hidden: Object.entries(page.retry.fields) } : null,
  });
}
