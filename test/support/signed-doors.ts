import request, { type Test } from 'supertest';
import { mintToken, newestLinkKey } from '../../src/core/signed-links.js';
import {
  asForm,
  forwarded,
  instantLink,
  mailersNetwork,
  mailersServer,
  oneClickMultipart,
  oneClickUrlencoded,
  pixelByPath,
  pixelOnLink,
  confirmButton,
  serverGet,
  serverOnLink,
  type Door,
  type Fields,
} from './doors.js';
import { formOf } from './html.js';
import type { TestService } from './service.js';
import { browser, imageOfBrowser, program, type Headers } from './visitors.js';

/**
 * The doors through a signed link that is made when the request is sent: the contract's address and tag are
 * the link's own.
 */
export function signedDoors(running: () => TestService): readonly Door[] {
  async function linkFor(listId: string, fields: Fields, path: string): Promise<string> {
    const { findList, db, secret } = running().deps;
    const of = (field: string) => fields.find(([key]) => key === field)?.[1];
    const list = await findList(listId);
    const token =
      list === null
        ? 'unknown'
        : mintToken(await newestLinkKey(db, secret, list), of('email') ?? '', of('tag') ?? '*');
    const mailer = of('mailer');
    return `/o/${token}${path}${mailer === undefined ? '' : `?mailer=${encodeURIComponent(mailer)}`}`;
  }

  function signed(door: Door, send: (url: string, link: string) => Test, path = ''): Door {
    return {
      ...door,
      name: `a signed link, as ${door.name}`,
      isSigned: true,
      settings: { ...door.settings, signedLinksOnly: true, ipWhitelist: mailersNetwork },
      ask: async ({ url }, listId, fields, from = mailersServer) =>
        forwarded(send(url, await linkFor(listId, fields, path)), from),
    };
  }
  const get = (headers: Headers) => (url: string, link: string) => request(url).get(link).set(headers);
  const post = (url: string, link: string) => request(url).post(link);

  const button: Door = {
    ...signed(confirmButton, get(browser)),
    ask: async ({ url }, listId, fields, from = mailersServer) => {
      const opened = await forwarded(get(browser)(url, await linkFor(listId, fields, '')), from);
      const form = opened.status === 200 ? formOf(opened.text) : null;
      if (form === null) return opened;
      return asForm(forwarded(request(url).post(form.action), from).set(browser), form.fields);
    },
  };
  return [
    button,
    signed(instantLink, get(browser)),
    signed(oneClickUrlencoded, (url, link) =>
      post(url, link).type('application/x-www-form-urlencoded').send('List-Unsubscribe=One-Click'),
    ),
    signed(oneClickMultipart, (url, link) => post(url, link).field('List-Unsubscribe', 'One-Click')),
    signed(pixelByPath, get(imageOfBrowser), '/pixel.gif'),
    signed(pixelOnLink, get(imageOfBrowser)),
    signed(serverGet, get(program), '/notify'),
    signed(serverOnLink, get(program)),
  ];
}
