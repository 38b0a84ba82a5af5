import { isInstant, needsSigned, type ReadLink } from '../core/link-read.js';

export const kinds = ['scanner', 'browser', 'mail-client'] as const;
export type Kind = (typeof kinds)[number];

/** What one who opens a link would get, as its list is set now. */
export interface Outcome {
  readonly as: Kind;
  /** What it sends. */
  readonly request: string;
  /** Whether it would record an opt-out. */
  readonly records: boolean;
  readonly gets: string;
}

/** The table of doors (docs/doors.md), for one link. */
export function explain(link: ReadLink): Outcome[] {
  return [scanner(link), browser(link), mailClient(link)];
}

function scanner(link: ReadLink): Outcome {
  const base = {
    as: 'scanner',
    request: 'GET, HEAD or OPTIONS, before anybody clicked',
    records: false,
  } as const;
  if (link.door === 'pixel.gif') return { ...base, ...pixel(link) };
  if (link.door === 'opt-out')
    return { ...base, gets: 'Nothing: it is sent on to the page. Nothing is recorded.' };
  if (!link.address.ok && link.door === null)
    return { ...base, gets: 'The page with its form. Nothing is recorded.' };
  const { list } = link;
  const parts = [
    '403, since it is no browser and not on the IP whitelist; or the page. Nothing is recorded.',
  ];
  if (list.ipWhitelist.length > 0) {
    parts.push('From the IP whitelist it is taken for a mailer’s server, and recorded.');
  }
  if (isInstant(link)) {
    parts.push('One that passes itself off as a browser RECORDS: direct links of this list are instant.');
  }
  return { ...base, records: isInstant(link), gets: parts.join(' ') };
}

function browser(link: ReadLink): Outcome {
  const base = { as: 'browser', request: 'GET by a person', records: false } as const;
  if (link.door === 'pixel.gif') return { ...base, ...pixel(link) };
  if (link.door === 'notify') return { ...base, gets: 'What a scanner gets: this is the door of servers.' };
  if (link.door === 'opt-out') return { ...base, gets: 'It is sent on to the page, which records nothing.' };
  const after =
    link.list.redirect === null ? 'the thank-you page' : `the redirect to ${link.list.redirect.origin}`;
  if (!link.address.ok) {
    return {
      ...base,
      gets: `The page with its form. Once an address is typed and sent: recorded, then ${after}.`,
    };
  }
  if (isInstant(link))
    return { ...base, records: true, gets: `It is recorded as it is opened, then ${after}.` };
  const isForm = needsSigned(link);
  return {
    ...base,
    gets: isForm
      ? `The page with its form, which holds the address: only signed links of this list do more. Once it is sent: recorded, then ${after}.`
      : `The page with the address and one button. Once it is pressed: recorded, then ${after}.`,
  };
}

function mailClient(link: ReadLink): Outcome {
  const base = { as: 'mail-client', request: 'POST of List-Unsubscribe=One-Click', records: false } as const;
  if (link.door !== null) {
    return { ...base, gets: 'No answer to count on: the header has to name the link without its last part.' };
  }
  if (needsSigned(link)) return { ...base, gets: '403: this list takes one-click by signed links alone.' };
  if (!link.address.ok) return { ...base, gets: '400: the link names no address.' };
  return { ...base, records: true, gets: 'It is recorded, and answered with 200: no page, no redirect.' };
}

function pixel(link: ReadLink): { records: boolean; gets: string } {
  if (needsSigned(link))
    return { records: false, gets: '403: this list takes the pixel by signed links alone.' };
  if (!link.list.pixel) return { records: false, gets: '403: the pixel of this list is off.' };
  if (!link.address.ok) return { records: false, gets: '400: the pixel names no address.' };
  return {
    records: true,
    gets: 'It is RECORDED by being loaded: the pixel is for thank-you pages, never for mails.',
  };
}
