import { editAlertSettings, getAlertSettings, limits, type AlertSettings } from '../core/alert-settings.js';
import { lastAlerts, type Alert, type AlertDetails } from '../core/alerts.js';
import type { Translate } from '../core/languages.js';
import { canSendMail } from '../core/mails.js';
import { usersOfAccount } from '../core/users.js';
import type { Formats } from './formats.js';
import { view, type ListVisit, type Screen } from './screen.js';

const page = view('console/alerts.ejs');

/** What the owners of a list are told by mail, and what they were told last. */
export const alerts: Screen<ListVisit> = {
  async show({ deps, t, list, account, formats }) {
    const { db } = deps;
    const users = await usersOfAccount(db, account.id);
    const recipients = users.filter(
      ({ role, hasPassword, endedAt }) => role === 'owner' && hasPassword && endedAt === null,
    );
    const last = await lastAlerts(db, [list.id]);
    return page(t('alerts.title'), {
      settings: await getAlertSettings(db, list.id),
      limits,
      sendsMail: canSendMail(deps.config),
      recipients: recipients.length,
      last: last
        .sort((a, b) => b.raisedAt - a.raisedAt)
        .map((alert) => ({ ...alert, text: textOf(alert, t, formats) })),
    });
  },
  async act({ deps, form, list, actor }) {
    const settings: AlertSettings = {
      optOutsADay: numberIn(form, 'optOutsADay'),
      optOutsAnHour: numberIn(form, 'optOutsAnHour'),
      silentDays: numberIn(form, 'silentDays'),
      shrinks: form?.has('shrinks') ?? false,
      notHonoured: form?.has('notHonoured') ?? false,
    };
    await editAlertSettings(deps.db, list, settings, { actor });
    return { redirect: `/console/lists/${list.publicId}/alerts`, done: 'alerts-saved' };
  },
};

/** Empty is none; what is no number does not pass the check that follows. */
function numberIn(form: URLSearchParams | null, name: string): number | null {
  const text = (form?.get(name) ?? '').normalize('NFKC').replace(/[\s,]/g, '');
  if (text === '') return null;
  return /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
}

function textOf({ kind, details }: Alert, t: Translate, formats: Formats): string {
  return t(`alerts.kind.${kind}`, shown(details, formats));
}

function shown(details: AlertDetails, formats: Formats): Record<string, string> {
  return Object.fromEntries(
    Object.entries(details).map(([key, value]) => [
      key,
      typeof value === 'number' ? formats.number(value) : value.join(', '),
    ]),
  );
}
