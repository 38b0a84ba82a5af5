import { countOverCap } from '../core/cap-moves.js';
import type { DownloadRow } from '../core/downloads.js';
import type { ListCounts } from '../core/feed.js';
import { explainNetwork, type Network } from '../core/ip-whitelist.js';
import type { List } from '../core/lists.js';
import { counted, facts, table, timeOf, yesOrNo } from './output.js';

/** A list as `--json` prints it; counts and downloads where they were asked for. */
export function listJson(
  list: List,
  counts?: ListCounts,
  isPending?: boolean,
  downloads?: readonly DownloadRow[],
): Record<string, unknown> {
  return {
    id: list.publicId,
    account_id: list.accountId,
    internal_name: list.internalName,
    name: list.name,
    state: list.state,
    archived_at: timeOf(list.archivedAt),
    direct_link: list.directLink,
    pixel: list.pixel,
    signed_links_only: list.signedLinksOnly,
    cap: list.cap,
    thank_you: list.thankYou,
    redirect: list.redirect?.text ?? null,
    ip_whitelist: list.ipWhitelist.map((network) => network.text),
    downloads_from_any_address: list.downloadsFromAnyAddress,
    operator_name: list.operatorName,
    postal_address: list.postalAddress,
    contact: list.contact,
    privacy_url: list.privacyUrl,
    language: list.defaultLanguage,
    tags: [...list.tags].sort(),
    mailer_ids: [...list.mailerIds].sort((a, b) => a - b),
    created_at: timeOf(list.createdAt),
    counts,
    is_pending: isPending,
    downloads: downloads?.map((row) => ({
      id: row.id,
      mailer_id: row.mailer_id,
      at: timeOf(row.at),
      ip: row.ip,
      extent: row.extent,
      format: row.format,
      status: row.status,
      entries: row.entries,
      finished_at: timeOf(row.finished_at),
    })),
  };
}

export function listFacts(
  list: List,
  globalList: List | null,
  counts: ListCounts,
  isPending: boolean,
  downloads: readonly DownloadRow[],
): string {
  const none = '(none)';
  const held = facts([
    ['Id', list.publicId],
    ['Account', String(list.accountId)],
    ['Internal name', list.internalName],
    ['Name', list.name],
    ['State', list.archivedAt === null ? list.state : `archived on ${timeOf(list.archivedAt)}`],
    ['Direct link', list.directLink],
    ['Pixel', list.pixel ? 'on' : 'off'],
    ['Signed links only', yesOrNo(list.signedLinksOnly)],
    ['Cap', list.cap === null ? 'off' : `${list.cap.toLocaleString('en-US')} entries, one a tag`],
    ['Thank-you texts', Object.keys(list.thankYou).join(', ') || '(the built-in ones)'],
    ['Redirect', list.redirect?.text ?? none],
    ['IP whitelist', list.ipWhitelist.map(explainNetwork).join('\n') || none],
    ['Downloads from any address', yesOrNo(list.downloadsFromAnyAddress)],
    ['Operator', list.operatorName || none],
    ['Postal address', list.postalAddress || none],
    ['Contact', list.contact || none],
    ['Privacy notice', list.privacyUrl || none],
    ['Language', list.defaultLanguage],
    ['Global list', globalListText(list, globalList) ?? none],
    ['Tags', [...list.tags].sort().join(', ') || none],
    ['Mailers', [...list.mailerIds].sort((a, b) => a - b).join(', ') || none],
    ['Created', timeOf(list.createdAt) ?? ''],
    ['Addresses', String(counts.addresses)],
    ['MD5 alone', String(counts.md5_only)],
    ['SHA-256 alone', String(counts.sha256_only)],
    ['Erased persons', String(counts.erased)],
    ['Last feed number', `${counts.last_number}${isPending ? ' (more waits to be numbered)' : ''}`],
  ]);
  const downloaded = table(
    ['DOWNLOADED', 'MAILER', 'FROM', 'WHAT', 'FORMAT', 'STATUS', 'ENTRIES'],
    downloads.map((row) => [
      timeOf(row.at) ?? '',
      String(row.mailer_id),
      row.ip,
      row.extent,
      row.format,
      String(row.status),
      row.finished_at === null ? 'cut off, or under way' : String(row.entries ?? 0),
    ]),
    'It has not been downloaded yet.',
  );
  return `${held}\n\n${downloaded}`;
}

function globalListText(list: List, globalList: List | null): string | null {
  if (globalList === null) return null;
  const { id, publicId, name } = globalList;
  return id === list.id ? 'this one: it counts for all lists of the account' : `${publicId}, ${name}`;
}

/** Said wherever a cap is set. */
export function capWarning(cap: number, counts: ListCounts | null, isGlobal: boolean): string {
  const over = counts === null ? 0 : countOverCap(counts, cap);
  const now = over === 0 ? 'Nobody leaves' : `${counted(over, 'entry leaves', 'entries leave')}`;
  return (
    'Whoever leaves a list by its cap can be mailed again although they opted out, which the law forbids in ' +
    `most places. ${now} by this one now. ` +
    (isGlobal
      ? 'This is the global list: whoever leaves it can be mailed again on all lists of the account. '
      : '') +
    'More in docs/cap.md.'
  );
}

/** How each entry of a whitelist was understood. */
export function networksText(networks: readonly Network[]): string {
  if (networks.length === 0) return 'The IP whitelist is empty.';
  return ['The IP whitelist lets in:', ...networks.map((network) => `  ${explainNetwork(network)}`)].join(
    '\n',
  );
}
