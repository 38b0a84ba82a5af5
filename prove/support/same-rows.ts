import { createHash } from 'node:crypto';
import type { RowDataPacket } from 'mysql2';
import { createConnection, type Connection } from 'mysql2/promise';

/** A digest of all rows of each table, in the order of its primary key, as one node has them. */
export type Digests = Readonly<Record<string, { readonly rows: number; readonly digest: string }>>;

/** @param url of a node, with the database. */
export async function digestsOf(url: string): Promise<Digests> {
  const connection = await createConnection({ uri: url, dateStrings: true, rowsAsArray: true });
  try {
    const [tables] = await connection.query('SHOW TABLES');
    const digests: Record<string, { rows: number; digest: string }> = {};
    for (const [table = ''] of tables as unknown as string[][])
      digests[table] = await digestOf(connection, table);
    return digests;
  } finally {
    await connection.end();
  }
}

/** The tables whose rows are not the same in both, or that one of them lacks. */
export function differencesOf(a: Digests, b: Digests): string[] {
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...names].filter((name) => a[name]?.digest !== b[name]?.digest);
}

async function digestOf(connection: Connection, table: string): Promise<{ rows: number; digest: string }> {
  const [keys] = await connection.query<RowDataPacket[]>({
    sql: "SHOW KEYS FROM ?? WHERE Key_name = 'PRIMARY'",
    values: [table],
    rowsAsArray: false,
  });
  if (keys.length === 0) throw new Error(`the table ${table} has no primary key`);
  const columns = keys.map(({ Column_name }) => String(Column_name));
  const [rows] = await connection.query<RowDataPacket[]>('SELECT * FROM ?? ORDER BY ??', [table, columns]);
  const hash = createHash('sha256');
  for (const row of rows) hash.update(`${JSON.stringify(row)}\n`);
  return { rows: rows.length, digest: hash.digest('hex') };
}
