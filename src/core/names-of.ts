import type { Db } from '../db/connect.js';

/** Those that have names, and whom the history names by their ids. */
type Named = 'users' | 'credentials' | 'mailers';

/** Their names, by id: of those that there are. */
export async function namesOf(db: Db, table: Named, ids: readonly number[]): Promise<Map<number, string>> {
  const names = new Map<number, string>();
  const once = [...new Set(ids)];
  for (let i = 0; i < once.length; i += 500) {
    const rows = await db<{ id: number; name: string }>(table)
      .whereIn('id', once.slice(i, i + 500))
      .select('id', 'name');
    for (const row of rows) names.set(row.id, row.name);
  }
  return names;
}
