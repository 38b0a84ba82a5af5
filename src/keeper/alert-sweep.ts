import { alertsFor, type WatchedList } from '../core/alert-watch.js';
import { raiseAlert, type Alert } from '../core/alerts.js';
import type { Translate } from '../core/languages.js';
import { forgetSizes } from '../core/list-sizes.js';
import { queueMail, type Mail } from '../core/mails.js';
import { currentPass, keepPass } from '../core/passes.js';
import type { ConsoleLanguage } from '../core/users.js';
import type { Db } from '../db/connect.js';
import type { Post } from './mail-sweep.js';
import type { Sweep } from './sweeps.js';

const name = 'alerts';
const betweenPassesMs = 5 * 60_000;
const listsAtOnce = 20;
/** A call ends after the list with which it has taken so long: those of many mailers take their time. */
const longestMs = 50;

/** Owners of an account who are written to. */
const mostOwners = 20;

interface ListRow {
  id: number;
  public_id: string;
  account_id: number;
  internal_name: string;
  archived_at: number | null;
  time_zone: string | null;
}

interface Owner {
  email: string;
  language: ConsoleLanguage | null;
}

/** Goes through all lists, some at a time, and writes to their owners where something passes a limit of theirs. */
export function createAlertSweep({ settings, secret, texts, baseUrl, log }: Post): Sweep {
  /** As one alert says it in one language. */
  function letter(
    { public_id, internal_name }: ListRow,
    { kind, details }: Alert,
    t: Translate,
  ): Omit<Mail, 'to'> {
    const values = Object.fromEntries(
      Object.entries(details).map(([key, value]) => [
        key,
        typeof value === 'number' ? value.toLocaleString('en-US') : value.join(', '),
      ]),
    );
    const about = { ...values, list: internal_name };
    const url = `${baseUrl}/console/lists/${public_id}`;
    return {
      subject: t(`alerts.mail.${kind}.subject`, about),
      text: [
        t(`alerts.mail.${kind}.text`, about),
        `${t('alerts.mail.look')}\n${url}`,
        `${t('alerts.mail.why')}\n${url}/alerts`,
      ].join('\n\n'),
    };
  }

  async function raise(db: Db, list: ListRow, alert: Alert): Promise<void> {
    await db.transaction(async (trx) => {
      if (!(await raiseAlert(trx, alert)) || settings === null) return;
      for (const { email, language } of await ownersOf(trx, list.account_id)) {
        const mail = letter(list, alert, texts(language ?? 'en'));
        const isQueued = await queueMail(trx, secret, { to: email, ...mail }, { now: alert.raisedAt });
        if (!isQueued) log.warn({ list: list.id, kind: alert.kind }, 'an alert could not be mailed');
      }
    });
  }

  return {
    name,
    everyMs: 1000,
    failsAlone: true,
    async run(db, now) {
      const pass = await currentPass(db, name, now, betweenPassesMs);
      if (pass === null) return false;
      const rows = await listsBehind(db, pass.list_id);
      const startedAt = performance.now();
      let done = 0;
      for (; done < rows.length && performance.now() - startedAt < longestMs; done++) {
        const list = rows[done];
        if (list === undefined) break;
        for (const alert of await alertsFor(db, watched(list), now)) await raise(db, list, alert);
      }
      const isOver = done === rows.length && rows.length < listsAtOnce;
      if (isOver) await forgetSizes(db, now);
      const reached = rows[done - 1]?.id ?? pass.list_id;
      await keepPass(db, { ...pass, list_id: reached, ended_at: isOver ? now : null });
      return false;
    },
  };
}

function watched(row: ListRow): WatchedList {
  const { id, account_id, time_zone, archived_at } = row;
  return { id, accountId: account_id, zone: time_zone ?? 'UTC', isArchived: archived_at !== null };
}

async function listsBehind(db: Db, after: number): Promise<ListRow[]> {
  return db('lists')
    .join('accounts', 'accounts.id', 'lists.account_id')
    .where('lists.id', '>', after)
    .orderBy('lists.id')
    .limit(listsAtOnce)
    .select('lists.id', 'lists.public_id', 'lists.account_id', 'lists.internal_name', 'lists.archived_at')
    .select('accounts.time_zone');
}

/** Those who have taken up their invitation, and may sign in. */
async function ownersOf(db: Db, accountId: number): Promise<Owner[]> {
  return db('users')
    .where({ account_id: accountId, role: 'owner' })
    .whereNull('ended_at')
    .whereNotNull('password_hash')
    .orderBy('id')
    .limit(mostOwners)
    .select('email', 'language');
}
