import type { Bench } from './bench.js';
import { check } from './check.js';
import { doors } from './doors.js';
import { download } from './download.js';
import { hostedForm } from './hosted-form.js';
import { importing } from './import.js';
import { largeList } from './large-list.js';
import { neighbours } from './neighbours.js';
import { page } from './page.js';
import { search } from './search.js';

/** Every bench, in the order of docs/performance.md. */
export const benches: readonly Bench[] = [
  doors,
  hostedForm,
  page,
  download,
  neighbours,
  largeList,
  check,
  importing,
  search,
];
