import type { Db } from '../../src/db/connect.js';
import { engine } from './engine.js';

/** How one table is read in one statement. */
export interface Plan {
  readonly table: string;
  /** `PRIMARY` is the primary key, on either engine; '' is none. */
  readonly index: string;
  /** The whole table, or a whole index, is gone through. */
  readonly isScan: boolean;
  /** Rows are sorted, or kept in a temporary table, before the first comes out. */
  readonly isSorted: boolean;
  readonly sql: string;
}

interface Statement {
  readonly sql: string;
  readonly bindings: readonly (string | number | Buffer | null)[];
}

/** Runs `work`, and tells how the engine reads the tables of each statement that this issued, inserts aside. */
export async function plansOf(db: Db, work: () => Promise<unknown>): Promise<Plan[]> {
  const statements = new Map<string, Statement>();
  const note = ({ sql, bindings = [] }: Statement) => {
    const isFirst = !statements.has(sql);
    if (isFirst && /^(select|update|delete)/i.test(sql)) statements.set(sql, { sql, bindings });
  };
  db.on('query', note);
  await work();
  db.removeListener('query', note);
  if (statements.size === 0) throw new Error('nothing was asked of the database');

  const plans: Plan[] = [];
  for (const statement of statements.values()) {
    plans.push(
      ...(engine === 'sqlite' ? await explainSqlite(db, statement) : await explainMysql(db, statement)),
    );
  }
  return plans;
}

async function explainSqlite(db: Db, { sql, bindings }: Statement): Promise<Plan[]> {
  const steps: { detail: string }[] = await db.raw(`EXPLAIN QUERY PLAN ${sql}`, [...bindings]);
  const isSorted = steps.some(({ detail }) => detail.includes('TEMP B-TREE'));
  const aliases = aliasesIn(sql);
  return steps.flatMap(({ detail }) => {
    const [, how, name = '', rest = ''] = /^(SCAN|SEARCH) (\w+)(.*)$/.exec(detail) ?? [];
    // json_each, and what is made of it or of a subquery, are no tables.
    if (how === undefined || /VIRTUAL TABLE/.test(rest) || ['j', 'of_list'].includes(name)) return [];
    const index =
      /USING (?:COVERING )?INDEX (\w+)/.exec(rest)?.[1] ?? (rest.includes('PRIMARY KEY') ? 'PRIMARY' : '');
    return [
      {
        table: aliases.get(name) ?? name,
        index: index.startsWith('sqlite_autoindex_') && index.endsWith('_1') ? 'PRIMARY' : index,
        isScan: how === 'SCAN',
        isSorted,
        sql,
      },
    ];
  });
}

async function explainMysql(db: Db, { sql, bindings }: Statement): Promise<Plan[]> {
  const [steps] = (await db.raw(`EXPLAIN ${sql}`, [...bindings])) as [
    { table: string | null; type: string | null; key: string | null; Extra: string | null }[],
  ];
  const aliases = aliasesIn(sql);
  return steps
    .filter(({ table }) => table !== null && table !== 'j' && !table.startsWith('<'))
    .map(({ table, type, key, Extra }) => ({
      table: aliases.get(String(table)) ?? String(table),
      index: key ?? '',
      isScan: type === 'ALL' || type === 'index',
      isSorted: /filesort|temporary/.test(Extra ?? ''),
      sql,
    }));
}

function aliasesIn(sql: string): Map<string, string> {
  return new Map([...sql.matchAll(/(\w+) AS (\w+)/g)].map(([, table = '', alias = '']) => [alias, table]));
}
