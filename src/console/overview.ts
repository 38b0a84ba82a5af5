import { listBursts, type Burst } from '../core/bursts.js';
import { complianceOfList, mailersAPage } from '../core/compliance.js';
import { totalsOfLists } from '../core/list-rows.js';
import { listNotHonoured } from '../core/not-honoured.js';
import { optOutsByDay, sourcesOf, sumsOfLists, type DayFigures } from '../core/opt-out-figures.js';
import type { Source } from '../core/opt-outs.js';
import { ownMailer } from '../core/user-rights.js';
import { chartsOf, type ChartBar } from './chart.js';
import { idOfOptOut } from './opt-out-search.js';
import { view, type ListVisit, type Screen } from './screen.js';

const page = view('console/overview.ejs');

/** What may be looked at; more than this many bars are weeks. */
const ranges = [7, 30, 90, 365] as const;
const mostBars = 90;

/** Rows that are shown of what was not honoured. */
const mostFindings = 20;

/** Bursts that are told of below the chart. */
const mostBursts = 10;

/** A list at a glance: its opt-outs, and how its mailers keep up. A user of a mailer sees its own mailer's rows. */
export const overview: Screen<ListVisit> = {
  async show(visit) {
    const { deps, t, list, user, formats, query, now } = visit;
    const { db } = deps;
    const days = ranges.find((range) => String(range) === query.get('days')) ?? 30;
    const beyond = Number(/^\d{1,6}$/.exec(query.get('mailers') ?? '')?.[0] ?? 0);
    const isOwner = user.role !== 'mailer';
    const mailerId = isOwner ? undefined : ((await ownMailer(db, user))?.id ?? 0);

    const isInWeeks = days > mostBars;
    const shown = isInWeeks ? Math.floor(days / 7) * 7 : days;
    const byDay = await optOutsByDay(db, list.id, shown, formats.zone, now);
    const figures = isInWeeks ? inWeeks(byDay) : byDay;
    const sources = sourcesOf(figures);
    const bursts = isOwner ? await burstsSince(visit, figures[0]?.startsAt ?? now) : [];
    const rows = await complianceOfList(db, list, { mailerId, beyond, zone: formats.zone, now });
    const findings = await listNotHonoured(db, list.id, { mailerId, limit: mostFindings + 1 });
    return page(t('overview.title'), {
      isOwner,
      days,
      ranges,
      isInWeeks,
      sums: (await sumsOfLists(db, [list.id], formats.zone, now)).get(list.id),
      total: (await totalsOfLists(db, [list.id])).get(list.id) ?? 0,
      figures,
      sum: figures.reduce((sum, { total }) => sum + total, 0),
      sources,
      charts: chartsOf(
        figures.map((one, i) => barOf(visit, one, sources, burstIn(bursts, one, figures[i + 1]))),
        (n) => formats.number(n),
      ),
      bursts: bursts.slice(0, mostBursts),
      isMoreBursts: bursts.length > mostBursts,
      rows,
      beyond,
      nextMailers: rows.length === mailersAPage ? beyond + mailersAPage : null,
      findings: findings.slice(0, mostFindings).map((one) => ({
        ...one,
        mailerName: rows.find((row) => row.mailerId === one.mailerId)?.mailerName ?? null,
        id: idOfOptOut({ address_key: one.addressKey, tag: Buffer.from(one.tag) }),
        short: one.addressKey.toString('hex').slice(0, 12),
      })),
      isMoreFindings: findings.length > mostFindings,
    });
  },
};

/** Bars that cannot be told from each other say nothing: a year is shown by whole weeks, the last one up to today. */
function inWeeks(days: readonly DayFigures[]): DayFigures[] {
  const weeks: DayFigures[] = [];
  for (let end = days.length; end > 0; end -= 7) {
    const week = days.slice(Math.max(0, end - 7), end);
    const [first] = week;
    if (first === undefined) continue;
    const bySource: Partial<Record<Source, number>> = {};
    for (const one of week) {
      for (const [source, count] of Object.entries(one.bySource) as [Source, number][]) {
        bySource[source] = (bySource[source] ?? 0) + count;
      }
    }
    weeks.unshift({ ...first, total: week.reduce((sum, { total }) => sum + total, 0), bySource });
  }
  return weeks;
}

/** Those of the account, of any of its lists: which of them an opt-out belongs to is not kept. */
async function burstsSince({ deps, account }: ListVisit, from: number): Promise<Burst[]> {
  return (await listBursts(deps.db, account.id)).filter(({ lastAt }) => lastAt >= from);
}

function burstIn(bursts: readonly Burst[], { startsAt }: DayFigures, next: DayFigures | undefined): boolean {
  return bursts.some((burst) => burst.lastAt >= startsAt && burst.startedAt < (next?.startsAt ?? Infinity));
}

function barOf(
  { t, formats }: ListVisit,
  { startsAt, total, bySource }: DayFigures,
  sources: readonly Source[],
  hasBurst: boolean,
): ChartBar {
  const day = formats.day(startsAt);
  const parts = sources
    .filter((source) => (bySource[source] ?? 0) > 0)
    .map((source) => `${t(`overview.source.${source}`)} ${formats.number(bySource[source] ?? 0)}`);
  return {
    label: withoutYear(day),
    title: [`${day}: ${formats.number(total)}`, ...parts].join('\n'),
    values: sources.map((source) => bySource[source] ?? 0),
    mark: hasBurst ? `${t('overview.burst')}: ${day}` : null,
  };
}

/** As both languages write days: 5 Mar 2026, 2026/03/05. */
function withoutYear(day: string): string {
  return day.replace(/^\d{4}\/|\s\d{4}$/, '');
}
