import { hash } from 'node:crypto';

/** One opt-out to be recorded, as the product's recorder would hold it. Times are UTC milliseconds. */
export interface Entry {
  list: number;
  key: Buffer;
  tag: Buffer;
  address: Buffer;
  given: Buffer | null;
  createdAt: number;
  recordedAt: number;
  source: string;
  reason: string | null;
  expiresAt: number | null;
  mailer: number | null;
  ip: string | null;
  receipt: Buffer | null;
  removedAt: number | null;
}

export const LISTS = 8;
/** The list that holds half of all rows, and that the scans read. */
export const BIG_LIST = 1;

const MISSES = 1_000_000_000;
const START = Date.UTC(2024, 0, 1);
const ALL_MAIL = Buffer.from('*');
const TAGS = ['news', 'offers', 'weekly-digest', 'partner-mailings'].map((tag) => Buffer.from(tag));

const FIRST =
  'james mary john anna robert linda michael laura william elena david maria thomas sofia daniel emma paul nina mark julia peter sarah kevin alice brian clara jan lea tim mia yuki hana wei li omar aisha ivan olga raj priya'.split(
    ' ',
  );
const LAST =
  'smith johnson williams brown jones garcia miller davis martinez lopez wilson anderson taylor moore jackson martin lee perez white harris clark lewis walker young king wright torres hill green adams baker nelson hall rivera campbell mitchell carter roberts mueller schmidt weber wagner becker rossi ferrari dubois laurent silva santos tanaka suzuki chen wang kim park nguyen kowalski novak jensen larsen'.split(
    ' ',
  );
const WORDS =
  'north river stone cedar bright union metro solar alpine harbor vertex delta prime quant lumen orbit maple summit atlas nova'.split(
    ' ',
  );
// Shares in percent; what is left over (some 17 %) is the long tail of companies' own domains.
const DOMAINS: [string, number][] = [
  ['gmail.com', 34],
  ['yahoo.com', 12],
  ['hotmail.com', 9],
  ['outlook.com', 8],
  ['icloud.com', 5],
  ['aol.com', 4],
  ['gmx.de', 3],
  ['web.de', 3],
  ['comcast.net', 2],
  ['orange.fr', 2],
  ['docomo.ne.jp', 1],
];

/**
 * The opt-out of the write with this number. The same number always gives the same opt-out, so that every
 * layout gets the same writes, and look-ups need no list of what was written.
 */
export function entryOfWrite(write: number): Entry {
  const isRepeat = write > 0 && roll(write, 1) % 1000 < 30;
  const person = isRepeat ? roll(write, 2) % write : write;
  return { ...entryOf(person), recordedAt: START + write * 10 };
}

/** Somebody who is on no list: half of what a scrub asks for is not there. */
export function entryOfStranger(number: number): Entry {
  return entryOf(MISSES + number);
}

function entryOf(person: number): Entry {
  const address = addressOf(person);
  const recordedAt = START + person * 10;
  const isFromWeb = roll(person, 3) % 100 < 60;
  return {
    list: roll(person, 4) % 2 === 0 ? BIG_LIST : 2 + (roll(person, 5) % (LISTS - 1)),
    key: hash('md5', address, 'buffer'),
    tag: roll(person, 6) % 1000 < 30 ? pick(TAGS, roll(person, 7)) : ALL_MAIL,
    address: Buffer.from(address),
    given:
      roll(person, 8) % 100 < 12 ? Buffer.from(address.charAt(0).toUpperCase() + address.slice(1)) : null,
    createdAt: recordedAt - (roll(person, 9) % 60_000),
    recordedAt,
    source: isFromWeb ? (roll(person, 10) % 2 === 0 ? 'page' : 'one-click') : 'api',
    reason: roll(person, 11) % 100 < 5 ? 'too many messages' : null,
    expiresAt: roll(person, 12) % 100 < 1 ? recordedAt + 400 * 86_400_000 : null,
    mailer: roll(person, 13) % 100 < 40 ? 1 + (roll(person, 14) % 50) : null,
    ip: isFromWeb ? `${1 + (roll(person, 15) % 220)}.${roll(person, 16) % 256}.7.${person % 256}` : null,
    receipt: isFromWeb ? hash('sha1', address, 'buffer').subarray(0, 12) : null,
    removedAt: roll(person, 17) % 100 < 1 ? recordedAt : null,
  };
}

function addressOf(person: number): string {
  const first = pick(FIRST, roll(person, 20));
  const last = pick(LAST, roll(person, 21));
  const number = roll(person, 22) % 100_000;
  const domain = domainOf(person);
  switch (roll(person, 23) % 4) {
    case 0:
      return `${first}.${last}${number}@${domain}`;
    case 1:
      return `${first}${last}${number}@${domain}`;
    case 2:
      return `${first.charAt(0)}${last}.${number}@${domain}`;
    default:
      return `${last}_${first}${number}@${domain}`;
  }
}

function domainOf(person: number): string {
  let share = roll(person, 24) % 100;
  for (const [domain, percent] of DOMAINS) {
    if (share < percent) return domain;
    share -= percent;
  }
  const company = roll(person, 25) % 40_000;
  return `${pick(WORDS, company)}-${pick(WORDS, Math.floor(company / 20))}${company}.com`;
}

function pick<T>(from: T[], at: number): T {
  return from[at % from.length] as T;
}

/** 32 well mixed bits out of a number and a salt (murmur3's finaliser): a random number without a state. */
function roll(number: number, salt: number): number {
  let bits = Math.imul(number, 0x9e3779b1) ^ Math.imul(salt, 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
