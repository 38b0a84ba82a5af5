import type { Logger } from 'pino';
import { createDeliver, type Deliver } from '../core/mail-delivery.js';
import type { MailSettings } from '../core/mail-server.js';
import { claimMail, forgetLateMails, forgetMail, mostTries } from '../core/mails.js';
import type { Translate } from '../core/languages.js';
import type { ConsoleLanguage } from '../core/users.js';
import type { Db } from '../db/connect.js';
import type { Sweep } from './sweeps.js';

/** What it takes to write mails and to send them. */
export interface Post {
  /** Null: no mail is sent, and what waits is only forgotten in time. */
  readonly settings: MailSettings | null;
  /** The installation's, which mails are sealed with. */
  readonly secret: string;
  /** The texts of one language. */
  readonly texts: (language: ConsoleLanguage) => Translate;
  /** Of the links that mails hold: an origin. */
  readonly baseUrl: string;
  readonly log: Logger;
}

/** A pass ends after so many, and the next one goes on. */
const mailsAPass = 50;

/** While the server takes none it is left alone, for twice as long each time: milliseconds. */
const firstPauseMs = 10_000;
const longestPauseMs = 5 * 60_000;

/** For how long a mail under way may go on when the keeper stops. */
const stopMs = 3000;

/**
 * Sends the mails that wait, one after the other, beside the rounds: a server that does not answer holds up
 * nothing but mails.
 */
export function createMailSweep({ settings, secret, log }: Post): Sweep {
  const deliver: Deliver | null = settings === null ? null : createDeliver(settings);
  /** The one under way, with what ends it: between two mails, or in the middle of one. */
  let pass: { readonly over: Promise<void>; readonly leave: AbortController; abort: AbortController } | null =
    null;
  let failure: Error | null = null;
  let pauseMs = 0;
  let pausedUntil = 0;

  async function sendSome(db: Db, deliver: Deliver, leave: AbortSignal, abort: AbortSignal): Promise<void> {
    for (let taken = 0; taken < mailsAPass && !leave.aborted; taken++) {
      const claimed = await claimMail(db, secret, Date.now(), (id, why) =>
        log.warn({ mail: id, why }, 'a mail was given up'),
      );
      if (claimed === null) return;
      if (claimed === 'again') continue;
      const { id, tries, mail } = claimed;
      const { outcome, why } = await deliver(mail, abort);
      if (outcome === 'sent' || outcome === 'refused' || tries === mostTries) await forgetMail(db, id);
      if (outcome !== 'sent') log.warn({ mail: id, tries, outcome, ...why }, 'a mail could not be sent');
      if (outcome === 'trouble') {
        pauseMs = Math.min(Math.max(firstPauseMs, pauseMs * 2), longestPauseMs);
        pausedUntil = Date.now() + pauseMs;
        return;
      }
      pauseMs = 0;
    }
  }

  return {
    name: 'mails',
    everyMs: 1000,
    failsAlone: true,
    async run(db, now) {
      if (deliver === null) return forgetLateMails(db, now);
      if (failure !== null) {
        const error = failure;
        failure = null;
        throw error;
      }
      if (pass !== null || now < pausedUntil) return false;
      const [leave, abort] = [new AbortController(), new AbortController()];
      const over = sendSome(db, deliver, leave.signal, abort.signal)
        .catch((error: unknown) => void (failure = error as Error))
        .finally(() => (pass = null));
      pass = { over, leave, abort };
      return false;
    },
    async stop() {
      if (pass === null) return;
      const { over, leave, abort } = pass;
      leave.abort();
      const timer = setTimeout(() => abort.abort(), stopMs);
      await over;
      clearTimeout(timer);
    },
  };
}
