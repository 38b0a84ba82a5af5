import { engineOf, type Db } from '../db/connect.js';
import { columns, machineDoors, type OptOutRow } from './opt-outs.js';

const machineSources = machineDoors.map((source) => `'${source}'`).join(', ');
/** The doors by which recipients themselves leave; who does once more got a mail meanwhile (not-honoured.ts). */
const recipientSources = "'page', 'direct-link', 'one-click', 'pixel'";

/**
 * Writes opt-outs in one commit. Only the recorder calls this.
 *
 * Recording an address again merges: where the standing row suppresses, the first time, source and
 * receipt stay, the later expiry counts (none is the latest), and last_at and repeats move on (repeats not
 * for an import: a file that comes again says nothing of mail that was sent meanwhile). A removed
 * or expired row is revived with the new values. What the feed has to carry again (a revival, an address
 * where there was a hash, a later expiry, of which a reader may have seen the first one pass) loses its
 * feed number. An erased person's row never gets its address back while it suppresses, whichever door
 * brings it.
 *
 * `vouched` says that somebody else than its first client stands behind an opt-out: a signed link, another
 * network, or a person at the page. Taking a burst back leaves such rows (bursts.ts).
 *
 * @returns true where surely none of them stood before, not even as removed: SQLite, and MySQL of a single row, never
 *   tell.
 */
export async function writeOptOuts(db: Db, rows: readonly OptOutRow[]): Promise<boolean> {
  const { name, insertRows } = engineOf(db);
  const merge = (mergeClauses[name] ??= mergeClause(db));
  return insertRows(db, { into, columns: columns.length, merge }, rows);
}

const into = `opt_outs (${columns.join(', ')})`;
const mergeClauses: { sqlite?: string; mysql?: string } = {};

/**
 * MySQL assigns from left to right and reads what it has assigned, SQLite reads the standing row
 * throughout. Written so that both come to the same: a column stands after all that look at it,
 * `removed_at`, which everything looks at, last.
 */
function mergeClause(db: Db): string {
  const { incoming, onRepeat, smaller, larger, nullSafeEqual, clientNetwork } = engineOf(db);
  const live = `opt_outs.removed_at IS NULL AND (opt_outs.expires_at IS NULL OR opt_outs.expires_at > ${incoming('recorded_at')})`;
  const erased = 'opt_outs.address IS NULL AND opt_outs.sha256 IS NOT NULL';
  const kept = (column: string) =>
    `${column} = CASE WHEN ${live} THEN opt_outs.${column} ELSE ${incoming(column)} END`;
  const filled = (column: string) =>
    `${column} = CASE WHEN NOT (${live}) THEN ${incoming(column)} WHEN ${erased} THEN NULL
      WHEN opt_outs.address IS NULL THEN ${incoming(column)} ELSE opt_outs.${column} END`;
  const isSameClient = `${clientNetwork('opt_outs.ip')} ${nullSafeEqual} ${clientNetwork(incoming('ip'))}
      AND (opt_outs.source = ${incoming('source')} OR ${incoming('source')} IN (${machineSources}))`;
  return `${onRepeat}
    feed_number = CASE WHEN NOT (${live}) THEN NULL
      WHEN opt_outs.address IS NULL AND opt_outs.sha256 IS NULL AND ${incoming('address')} IS NOT NULL THEN NULL
      WHEN ${incoming('expires_at')} IS NULL AND opt_outs.expires_at IS NOT NULL THEN NULL
      WHEN ${incoming('expires_at')} > opt_outs.expires_at THEN NULL
      ELSE opt_outs.feed_number END,
    created_at = CASE WHEN ${live} THEN ${smaller('opt_outs.created_at', incoming('created_at'))}
      ELSE ${incoming('created_at')} END,
    last_at = CASE WHEN ${live} THEN ${larger('opt_outs.last_at', incoming('last_at'))}
      ELSE ${incoming('last_at')} END,
    repeats = CASE WHEN NOT (${live}) THEN 0 WHEN ${incoming('source')} = 'import' THEN opt_outs.repeats
      ELSE opt_outs.repeats + 1 END,
    vouched = CASE WHEN ${live} AND ${incoming('vouched')} = 0 AND ${isSameClient} THEN opt_outs.vouched
      WHEN ${live} THEN 1 ELSE ${incoming('vouched')} END,
    figured = CASE WHEN ${live} THEN opt_outs.figured ELSE 0 END,
    left_again_at = CASE WHEN NOT (${live}) THEN NULL
      WHEN ${incoming('source')} NOT IN (${recipientSources}) THEN opt_outs.left_again_at
      ELSE ${larger('COALESCE(opt_outs.left_again_at, 0)', incoming('recorded_at'))} END,
    ${['recorded_at', 'source', 'reason', 'mailer_id', 'credential_id', 'ip', 'receipt'].map(kept).join(', ')},
    ${filled('given')},
    ${filled('address')},
    ${kept('sha256')},
    expires_at = CASE WHEN NOT (${live}) THEN ${incoming('expires_at')}
      WHEN opt_outs.expires_at IS NULL OR ${incoming('expires_at')} IS NULL THEN NULL
      ELSE ${larger('opt_outs.expires_at', incoming('expires_at'))} END,
    removed_at = NULL`.replace(/\s+/g, ' ');
}
