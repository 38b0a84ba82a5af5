/** A statement as Knex tells of it before it is sent. */
export interface Statement {
  readonly sql: string;
  readonly options: { readonly rows?: readonly unknown[] };
  readonly __knexQueryUid: string;
}

/** How many rows a statement inserts: SQLite runs it for each of them, MySQL has them all in its text. */
export function rowsInserted({ sql, options }: Statement): number {
  return options.rows?.length ?? sql.split('),(').length;
}
