import { getLanguage, isLanguage } from '../core/languages.js';
import type { ListSettings } from '../core/list-settings.js';
import { parseRedirectTemplate } from '../core/redirect-template.js';
import { pageListOf } from '../http/view-frame.js';
import { renderOptOutPage, renderThankYouPage } from '../http/views.js';
import { settingsOf, typedSettings } from './edit-settings.js';
import type { ListVisit, PageAnswer, Screen } from './screen.js';

/** The pages that can be looked at: the one with the form, a link's with the address in it, and the last one. */
export const previewPages = ['form', 'link', 'thanks'] as const;

/** Whoever gets one of these pages to see in the preview. */
export const sampleEmail = 'ann@example.com';
const sampleReceipt = '7Q2M-8HXE-4T1B-0';

// Links go nowhere, forms are not sent, nothing runs: it is to be looked at.
const policy =
  "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; " +
  'sandbox allow-same-origin';

/** A hosted page as the settings make it: those of the list, or those of a form that has not been saved. */
export const preview: Screen<ListVisit> = {
  show: (visit) => Promise.resolve(pageOf(visit, settingsOf(visit.list), visit.query)),
  act(visit) {
    const form = visit.form ?? new URLSearchParams();
    return Promise.resolve(pageOf(visit, cut(typedSettings(form, settingsOf(visit.list))), form));
  },
};

/** What was typed, as far as it could be saved: to write out more of it takes its time. */
function cut(typed: ListSettings): ListSettings {
  const start = (text: string, most: number) => text.slice(0, most);
  return {
    ...typed,
    name: start(typed.name, 200),
    operatorName: start(typed.operatorName, 200),
    postalAddress: start(typed.postalAddress, 500),
    contact: start(typed.contact, 500),
    privacyUrl: start(typed.privacyUrl, 2000),
  };
}

function pageOf({ list }: ListVisit, settings: ListSettings, chosen: URLSearchParams): PageAnswer {
  const code = chosen.get('previewLanguage');
  const fallback = isLanguage(settings.defaultLanguage) ? settings.defaultLanguage : list.defaultLanguage;
  const language = getLanguage(isLanguage(code) ? code : fallback).code;
  const kind = previewPages.find((one) => one === chosen.get('previewPage')) ?? 'form';
  // An instant link asks nothing: what it opens is the last page.
  const isThanks = kind === 'thanks' || (kind === 'link' && settings.directLink === 'instant');
  const html = isThanks
    ? thankYouPage(list.publicId, settings, language)
    : optOutPage(list.publicId, settings, language, kind);
  return {
    template: () =>
      html
        .replace(/(<a\b[^>]*? href=)"[^"]*"/g, '$1"#"')
        // In a frame, it would be refused, and the refusal told.
        .replace(/(<input\b[^>]*?) autofocus\b/, '$1'),
    title: '',
    data: {},
    policy,
    headers: { 'X-Frame-Options': 'SAMEORIGIN' },
  };
}

function optOutPage(publicId: string, settings: ListSettings, language: string, kind: string): string {
  const redirect = parseRedirectTemplate(settings.redirectTemplate);
  return renderOptOutPage({
    list: pageListOf({ publicId, ...settings }),
    language,
    baseUrl: '',
    mode: kind === 'link' ? 'confirm' : 'form',
    ...(kind === 'link' ? { email: sampleEmail } : {}),
    redirectHost: redirect.ok ? new URL(redirect.template.origin).host : null,
    languageForm: { action: '#', fields: {} },
  });
}

function thankYouPage(publicId: string, settings: ListSettings, language: string): string {
  const markdown = settings.thankYou[language] ?? '';
  return renderThankYouPage({
    list: pageListOf({ publicId, ...settings }),
    language,
    baseUrl: '',
    text: markdown.trim() === '' ? null : { markdown, language },
    email: sampleEmail,
    receipt: sampleReceipt,
    afterwards: { token: '', undoAction: '#', reasonAction: '#' },
  });
}
