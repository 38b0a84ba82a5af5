import { checkMany } from './check-items.js';
import { readFeed } from './feed.js';
import { postImport } from './import-upload.js';
import { getImport, listImports, listRefusedRows } from './imports.js';
import { getList, listLists } from './lists.js';
import type { AnyOperation } from './operation.js';
import { postOptOuts } from './opt-out-batch.js';
import { deleteOptOut, getOptOut, listOptOuts, putOptOut } from './opt-outs.js';
import { deleteOptOuts, getRemoval, listRemovals, postRestoration } from './removals.js';
import { getSettings, patchSettings } from './settings.js';

/** All operations of the API, in the order in which the page shows them. */
export const operations: readonly AnyOperation[] = [
  listLists,
  getList,
  getSettings,
  patchSettings,
  listOptOuts,
  getOptOut,
  putOptOut,
  postOptOuts,
  deleteOptOut,
  deleteOptOuts,
  listRemovals,
  getRemoval,
  postRestoration,
  checkMany,
  readFeed,
  postImport,
  listImports,
  getImport,
  listRefusedRows,
];
