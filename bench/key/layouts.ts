import type { Entry } from './entries.js';

export type Engine = 'MariaDB' | 'SQLite';
export type Layout = 'A' | 'R' | 'B' | 'C';

export const LAYOUTS: Record<Engine, Layout[]> = { MariaDB: ['A', 'B', 'C'], SQLite: ['A', 'R', 'B', 'C'] };
export const LAYOUT_NAMES = {
  A: 'A address key',
  // SQLite alone has the choice between a clustered table and one by a hidden row number.
  R: 'A with rowid',
  B: 'B surrogate',
  C: 'C address',
} as const;

/** What the feed's numbering names a row by, beside the list: the rest of the primary key. */
export const ROW_KEY: Record<Layout, ('address_key' | 'address' | 'tag' | 'id')[]> = {
  A: ['address_key', 'tag'],
  R: ['address_key', 'tag'],
  B: ['id'],
  C: ['address', 'tag'],
};

/** The key that a repeat is recognised by. */
const UNIQUE: Record<Layout, string> = {
  A: 'list_id, address_key, tag',
  R: 'list_id, address_key, tag',
  B: 'list_id, address_key, tag',
  C: 'list_id, address, tag',
};

const RECORDED =
  'list_id address_key tag address given created_at recorded_at last_at source reason expires_at mailer_id ip receipt'.split(
    ' ',
  );
const FILLED = [...RECORDED, 'removed_at', 'feed_number', 'counted'];

export type Value = number | string | Buffer | null;

/** The statements that create the table of a layout, with all of its final indexes, and the feed's two tables. */
export function schemaOf(layout: Layout, engine: Engine): string[] {
  const isSqlite = engine === 'SQLite';
  const binary = (type: string) => (isSqlite ? 'BLOB' : type);
  const ascii = (size: number) =>
    isSqlite ? 'TEXT' : `VARCHAR(${size}) CHARACTER SET ascii COLLATE ascii_bin`;
  const domain = isSqlite ? DOMAIN_ON_SQLITE : `SUBSTRING_INDEX(address, '@', -1)`;
  const id = isSqlite ? 'id INTEGER PRIMARY KEY' : 'id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY';
  const unique = UNIQUE[layout];
  const isClustered = layout === 'A' || layout === 'C';
  const table = `CREATE TABLE opt_outs (
    ${layout === 'B' ? `${id},` : ''}
    list_id ${isSqlite ? 'INTEGER' : 'INT UNSIGNED'} NOT NULL,
    address_key ${binary('BINARY(16)')} NOT NULL,
    tag ${binary('VARBINARY(128)')} NOT NULL DEFAULT ${isSqlite ? "x'2a'" : "'*'"},
    address ${binary('VARBINARY(254)')} ${layout === 'C' ? 'NOT NULL' : 'NULL'},
    given ${binary('VARBINARY(320)')} NULL,
    sha256 ${binary('BINARY(32)')} NULL,
    created_at BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    repeats INT NOT NULL DEFAULT 0,
    source ${ascii(12)} NOT NULL,
    reason VARCHAR(64) NULL,
    expires_at BIGINT NULL,
    mailer_id INT NULL,
    credential_id INT NULL,
    ip ${ascii(45)} NULL,
    receipt ${binary('BINARY(12)')} NULL,
    removed_at BIGINT NULL,
    feed_number BIGINT NULL,
    counted TINYINT NOT NULL DEFAULT 0,
    domain ${binary('VARBINARY(254)')} GENERATED ALWAYS AS (${domain}) VIRTUAL,
    ${layout === 'B' ? 'UNIQUE' : 'PRIMARY KEY'} (${unique})
  ) ${isSqlite ? (isClustered ? 'WITHOUT ROWID' : '') : 'ENGINE=InnoDB DEFAULT CHARSET=utf8mb4'}`;
  const second = layout === 'C' ? 'address_key' : 'address';
  return [
    table,
    `CREATE INDEX opt_outs_feed ON opt_outs (list_id, feed_number)`,
    `CREATE INDEX opt_outs_${second} ON opt_outs (list_id, ${second})`,
    `CREATE INDEX opt_outs_domain ON opt_outs (list_id, domain)`,
    `CREATE TABLE feed (id INT PRIMARY KEY, next_number BIGINT NOT NULL)`,
    `INSERT INTO feed VALUES (1, 1)`,
    `CREATE TABLE list_counts (list_id INT PRIMARY KEY, suppressed BIGINT NOT NULL)`,
    ...(isSqlite ? statisticsOnSqlite(layout) : []),
  ];
}

/**
 * Without statistics SQLite reads a whole list by the primary key of a WITHOUT ROWID table where an index on
 * (list_id, other) would find a few rows, and in the numbering's update too. A new table has none, so these are
 * written by hand: rows in all, then rows for each longer prefix of the index.
 */
function statisticsOnSqlite(layout: Layout): string[] {
  const second = layout === 'C' ? 'address_key' : 'address';
  const isClustered = layout === 'A' || layout === 'C';
  const unique = isClustered ? 'opt_outs' : 'sqlite_autoindex_opt_outs_1';
  const rest = isClustered ? ' 1 1' : '';
  const statistics = [
    [unique, '1000000 100000 2 1'],
    ['opt_outs_feed', `1000000 100000 2${rest}`],
    [`opt_outs_${second}`, `1000000 100000 2${rest}`],
    ['opt_outs_domain', `1000000 100000 1000${rest}`],
  ];
  const rows = statistics.map(([index, figures]) => `('opt_outs', '${index}', '${figures}')`);
  return ['ANALYZE', `INSERT INTO sqlite_stat1 VALUES ${rows.join(', ')}`, 'ANALYZE sqlite_schema'];
}

// SQLite has no "last @", which a quoted local part needs; trimming what follows it finds it. The casts keep
// the lengths in characters throughout.
const TEXT = 'CAST(address AS TEXT)';
const DOMAIN_ON_SQLITE = `CAST(substr(${TEXT}, 1 + length(rtrim(${TEXT}, replace(${TEXT}, '@', '')))) AS BLOB)`;

/** The head and the tail of the recording statement; the rows go between. */
export function recordingOf(
  layout: Layout,
  engine: Engine,
  isFilling: boolean,
): { head: string; tail: string } {
  const isSqlite = engine === 'SQLite';
  const incoming = (column: string) => (isSqlite ? `excluded.${column}` : `VALUES(${column})`);
  const [least, greatest] = isSqlite ? ['min', 'max'] : ['LEAST', 'GREATEST'];
  const merge = (column: string, ofLive: string, ofRemoved = incoming(column)) =>
    `${column} = CASE WHEN removed_at IS NULL THEN ${ofLive} ELSE ${ofRemoved} END`;
  const expires = incoming('expires_at');
  const kept = ['given', 'recorded_at', 'source', 'reason', 'mailer_id', 'ip', 'receipt'];
  const merges = [
    merge('created_at', `${least}(created_at, ${incoming('created_at')})`),
    merge('last_at', `${greatest}(last_at, ${incoming('last_at')})`),
    merge(
      'expires_at',
      `CASE WHEN expires_at IS NULL OR ${expires} IS NULL THEN NULL ELSE ${greatest}(expires_at, ${expires}) END`,
    ),
    merge('repeats', 'repeats + 1', '0'),
    ...kept.map((column) => merge(column, column)),
    merge('feed_number', 'feed_number', 'NULL'),
    // MySQL assigns from left to right, and every line above asks for the old value.
    'removed_at = NULL',
  ];
  const onRepeat = isSqlite ? `ON CONFLICT (${UNIQUE[layout]}) DO UPDATE SET` : 'ON DUPLICATE KEY UPDATE';
  const columns = isFilling ? FILLED : RECORDED;
  return {
    head: `INSERT INTO opt_outs (${columns.join(', ')}) VALUES`,
    tail: `${onRepeat} ${merges.join(', ')}`,
  };
}

/** A row of the recording statement; with a feed number, a row of the filling. */
export function rowOf(entry: Entry, feedNumber?: number): Value[] {
  const { list, key, tag, address, given, createdAt, recordedAt, source, reason, expiresAt } = entry;
  const row = [list, key, tag, address, given, createdAt, recordedAt, recordedAt, source, reason, expiresAt];
  row.push(entry.mailer, entry.ip, entry.receipt);
  if (feedNumber !== undefined) row.push(entry.removedAt, feedNumber, 1);
  return row;
}

/** In the order of the layout's unique key: two statements that lock in one order do not deadlock. */
export function sortByKey(entries: Entry[], layout: Layout): Entry[] {
  const name = layout === 'C' ? 'address' : 'key';
  return entries.toSorted(
    (one, other) => one.list - other.list || one[name].compare(other[name]) || one.tag.compare(other.tag),
  );
}

/** A pending row's key, as the JSON that the numbering hands to the database. */
export function jsonKeyOf(key: (Buffer | number)[]): (string | number)[] {
  return key.map((part) => (Buffer.isBuffer(part) ? part.toString('hex') : part));
}
