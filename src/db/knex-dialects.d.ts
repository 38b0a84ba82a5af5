// Knex keeps its dialects out of its types; these two are extended in mysql.ts and sqlite.ts.
interface DialectQuery {
  sql?: string;
  options?: Record<string, unknown>;
}

declare module 'knex/lib/dialects/mysql2/index.js' {
  import type { Knex } from 'knex';
  import type { Connection } from 'mysql2';
  export default class MySql2Dialect {
    constructor(config: Knex.Config);
    _query(connection: Connection, query: string | DialectQuery): Promise<unknown>;
  }
}

declare module 'knex/lib/dialects/better-sqlite3/index.js' {
  import type { Knex } from 'knex';
  import type { Database } from 'better-sqlite3';
  export default class BetterSqlite3Dialect {
    constructor(config: Knex.Config);
    _query(connection: Database, query: DialectQuery): Promise<unknown>;
  }
}
