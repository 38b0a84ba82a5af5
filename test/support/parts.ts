type EngineName = 'sqlite' | 'mysql';

/**
 * What runs on one engine alone, where both are tested: what comes to no database or to both by itself, and the
 * words and files of commands whose work core/ tests on both. Shared out so that both runs take as long.
 */
const runOnce: Readonly<Record<EngineName, readonly string[]>> = {
  sqlite: [
    ...['bench.test.ts', 'structure.test.ts', 'versions.test.ts', 'config.test.ts'],
    ...['core/address*.test.ts', 'core/ip-whitelist*.test.ts', 'core/redirect-template.test.ts'],
    ...['core/thank-you.test.ts', 'core/import-dates.test.ts', 'core/import-rows.test.ts'],
    ...['core/sorted-lines.test.ts', 'core/time-zone.test.ts', 'http/client-address.test.ts'],
    ...['http/locale.test.ts', 'http/request.test.ts', 'http/zip.test.ts', 'http/upload.test.ts'],
    ...['api/page.test.ts', 'api/openapi.test.ts', 'cli/usage.test.ts', 'cli/global-list.test.ts'],
    ...[
      'matrix/addresses.test.ts',
      'console/texts.test.ts',
      'console/accessibility.test.ts',
      'console/*browser.test.ts',
    ],
    ...[
      'cli/refusals.test.ts',
      'cli/backup-damaged.test.ts',
      'cli/backup-files.test.ts',
      'cli/links.test.ts',
    ],
  ],
  mysql: [
    ...['cli/account-settings.test.ts', 'cli/attacks.test.ts', 'cli/credentials.test.ts'],
    ...['cli/import-job.test.ts', 'cli/links-mint*.test.ts', 'cli/removals.test.ts'],
    ...['console/matrix.test.ts', 'matrix/matrix.test.ts', 'views/**'],
  ],
};

/** What waits for processes of its own more than it works: commands, browsers, services and keepers that are ended. */
const waiting: readonly string[] = [
  ...['bench.test.ts', 'prove.test.ts', 'service.test.ts', 'cli/*.test.ts', 'crash/*.test.ts'],
  ...['db/*.test.ts', 'keeper/*.test.ts', 'api/page.test.ts', 'views/*.test.ts'],
  ...['console/accessibility.test.ts', 'console/navigation.test.ts', 'console/*browser.test.ts'],
];

/** Tests of one engine that run in a process of Mocha, beside those of the others. */
export interface Part {
  readonly engine: string;
  readonly name: string;
  /** For Mocha: which files, and which of them not. */
  readonly files: readonly string[];
}

/**
 * All tests of an engine, in two parts that take as long: one works while the other waits.
 *
 * @param engines of this run.
 * @param asOne where something is asked of Mocha that may leave out all of a part.
 */
export function partsOf(engine: string, engines: readonly string[], asOne: boolean): Part[] {
  const elsewhere = Object.entries(runOnce).flatMap(([other, patterns]) =>
    other !== engine && engines.includes(other) ? patterns : [],
  );
  const inTest = (patterns: readonly string[]) => patterns.map((pattern) => `test/${pattern}`);
  const without = (patterns: readonly string[]) => inTest(patterns).flatMap((file) => ['--ignore', file]);
  const all = inTest(['**/*.test.ts']);
  if (asOne) return [{ engine, name: engine, files: [...without(elsewhere), ...all] }];
  return [
    { engine, name: engine, files: [...without([...elsewhere, ...waiting]), ...all] },
    { engine, name: `${engine}-waiting`, files: [...without(elsewhere), ...inTest(waiting)] },
  ];
}
