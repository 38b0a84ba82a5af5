import { corpora } from './corpora.js';
import { faults } from './faults.js';
import { feed } from './feed.js';
import { galera } from './galera.js';
import { kept } from './kept.js';
import { machines } from './machines.js';
import { once } from './once.js';
import { oracle } from './oracle.js';
import { overload } from './overload.js';
import { powerCut } from './power-cut.js';
import type { Proof } from './proof.js';
import { slow } from './slow.js';
import { provenBySuite } from './suites.js';

/** Every proof, in the order of the promises. */
export const proofs: readonly Proof[] = [
  kept,
  powerCut,
  galera,
  provenBySuite(2, 'nobody', 'A list reaches nobody that it should not', {
    'every route of the doors and the APIs, by every role': ['matrix/matrix.test.ts'],
    'every route of the console, by every role': ['console/matrix.test.ts'],
    'every spelling of an address, under every header': [
      'matrix/addresses.test.ts',
      'http/client-address.test.ts',
      'core/ip-whitelist.test.ts',
      'core/ip-whitelist-properties.test.ts',
    ],
    'downloads and the server door: key, grant, whitelist': [
      'download/access.test.ts',
      'opt-out/server.test.ts',
    ],
  }),
  feed,
  machines,
  faults,
  once,
  overload,
  slow,
  oracle,
  corpora,
  provenBySuite(9, 'typed', 'What is typed stays text, on pages, in redirects and in spreadsheets', {
    'payloads on the hosted pages, in texts and redirects': [
      'opt-out/page-safety.test.ts',
      'views/injection.test.ts',
      'core/redirect-template.test.ts',
      'core/thank-you.test.ts',
    ],
    'formulas in what is saved for spreadsheets': [
      'console/downloads.test.ts',
      'console/opt-outs-changed.test.ts',
    ],
    'any request at all, by properties': ['app.test.ts', 'api/requests.test.ts'],
  }),
  provenBySuite(10, 'abuse', 'Mass abuse is seen, and can be taken back', {
    'forged opt-outs from one source, through each door': ['opt-out/attack.test.ts'],
    'the rule, on one node and on several': ['core/attack-rule.test.ts', 'core/cap-attacks.test.ts'],
    'taking a burst back, exactly': ['core/burst-revert.test.ts', 'console/abuse.test.ts'],
  }),
  provenBySuite(11, 'one-click', 'One-click is RFC 8058 to the letter', {
    'urlencoded, multipart, HTTP/1.0, chunked, further fields': ['opt-out/one-click.test.ts'],
    'tokens that are ours, and that are not': ['opt-out/signed-links.test.ts', 'core/signed-links.test.ts'],
  }),
  provenBySuite(12, 'erasure', 'An erased person is gone, and still suppressed', {
    'what is left in the tables, and what still works': ['core/erasure.test.ts', 'cli/person.test.ts'],
    'the bytes in tables, files and logs': ['core/erasure-bytes.test.ts'],
  }),
  provenBySuite(13, 'restore', 'A restore fools nobody', {
    'a backup under load, and what readers are told after it': ['cli/backup.test.ts', 'core/backup.test.ts'],
    'a restore that was killed, and files that were damaged': [
      'cli/restore.test.ts',
      'cli/backup-damaged.test.ts',
    ],
    'cursors of before': ['download/delta.test.ts', 'api/feed-cursors.test.ts'],
  }),
  provenBySuite(14, 'upgrade', 'An upgrade loses nothing', {
    'migrations killed between any two statements, and run by several at once': ['db/migrate.test.ts'],
    'tables that an older version beside the new one can go on with': ['db/side-by-side.test.ts'],
  }),
  provenBySuite(
    15,
    'accessible',
    'Everyone can use the pages',
    {
      'axe on every page, state and language': ['views/browser.test.ts', 'console/accessibility.test.ts'],
    },
    ['sqlite'],
  ),
];
