import { hash, verify } from '@node-rs/argon2';
import { Invalid, Unavailable } from '../errors.js';

/** Characters: NIST SP 800-63B-4, section 3.1.1.2, wants 15 where a password is all there is, and allows 8 beside a code. */
const shortest = 12;
const longest = 200;

/** Of argon2id, which is the library's own choice; OWASP's: 19 MiB, two passes. */
const cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;

/** Each takes a thread and 19 MiB for some tens of milliseconds; what else wants threads must come through. */
const mostAtOnce = 2;
const mostWaiting = 100;

let running = 0;
const waiting: (() => void)[] = [];

/** Of nobody: the time that it takes to look at is the same for users that there are and users that there are none. */
const nobodys =
  '$argon2id$v=19$m=19456,t=2,p=1$YWFhYWFhYWFhYWFhYWFhYQ$8dRkr2yUrs2JkOLrCFJsvvJIvgQDBqG4h5Wkmm6dCBk';

/**
 * A password that may be chosen: 12 to 200 characters, whatever they are. No rules of composition, which make
 * passwords worse (NIST SP 800-63B-4), but not what is guessed first: the user's own address or name, one
 * character again and again, the keyboard's rows.
 *
 * @param known what of the user others know.
 * @throws Invalid `too-short`, `too-long` or `guessable`.
 */
export function checkPassword(field: string, password: string, known: readonly string[] = []): string {
  const text = password.normalize('NFC');
  const length = [...text].length;
  if (length < shortest) {
    throw new Invalid(field, 'too-short', `${field} must be at least ${shortest} characters long`);
  }
  if (length > longest) {
    throw new Invalid(field, 'too-long', `${field} must not be longer than ${longest} characters`);
  }
  if (isGuessable(text.toLowerCase(), known)) {
    throw new Invalid(field, 'guessable', `${field} is one of the first that somebody would try`);
  }
  return text;
}

function isGuessable(text: string, known: readonly string[]): boolean {
  if (new Set(text).size < 4) return true;
  // What is left of it once what everybody knows is taken away.
  const left = [...known, ...common]
    .map((one) => one.toLowerCase())
    .filter((one) => one.length >= 4)
    .reduce((rest, one) => rest.replaceAll(one, ''), text);
  return [...left].length < 6;
}

const common = [
  ...[
    'password',
    'passwort',
    'passw0rd',
    'signoff',
    'welcome',
    'letmein',
    'iloveyou',
    'changeme',
    'administrator',
  ],
  ...['qwertyuiop', 'qwertzuiop', 'qwerty', 'asdfghjkl', 'asdfgh', 'zxcvbnm', '1q2w3e4r', '1qaz2wsx'],
  ...[
    '1234567890',
    '123456789',
    '12345678',
    '123456',
    '12345',
    '1234',
    '0987654321',
    'abcdefgh',
    'abcd',
    'abc123',
  ],
];

/** @returns argon2id, in the form that carries its own parameters and salt. */
export function hashPassword(password: string): Promise<string> {
  return inTurn(() => hash(password.normalize('NFC'), cost));
}

/**
 * Whether the password is the one of this hash. It takes its time in any case.
 *
 * @param passwordHash null where there is no user, or none with a password.
 */
export async function isPassword(passwordHash: string | null, password: string): Promise<boolean> {
  // Longer ones cannot be chosen, and what somebody else sends need not be hashed at any length.
  const text = [...password.normalize('NFC').slice(0, 2 * longest + 2)].slice(0, longest + 1).join('');
  const isRight = await inTurn(() => verify(passwordHash ?? nobodys, text));
  return isRight && passwordHash !== null;
}

/** @throws Unavailable where a hundred wait already. */
async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= mostAtOnce) {
    if (waiting.length >= mostWaiting) throw new Unavailable('too many passwords are being looked at');
    // Whoever ends hands its turn on, so `running` stays as it is.
    await new Promise<void>((resolve) => waiting.push(resolve));
  } else running++;
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next === undefined) running--;
    else next();
  }
}
