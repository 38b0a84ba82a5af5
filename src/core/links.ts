import type { List } from './lists.js';

/** Every address under which a list is reached. */
export interface ListLinks {
  readonly page: string;
  readonly directLink: string;
  readonly pixel: string;
  readonly notify: string;
  readonly download: string;
  readonly scrub: string;
}

/** @param mergeTag what the mailer's program replaces with the recipient's address. */
export function linksOf(baseUrl: string, list: List, mergeTag = '{{email}}'): ListLinks {
  const link = `${baseUrl}/l/${list.publicId}`;
  return {
    page: link,
    directLink: `${link}?email=${mergeTag}`,
    pixel: `${link}/pixel.gif?email=${mergeTag}`,
    notify: `${link}/notify`,
    download: `${link}/download`,
    scrub: `${link}/scrub`,
  };
}
