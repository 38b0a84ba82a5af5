import assert from 'node:assert/strict';

/** A family of Prometheus' text format: all samples of one metric. */
export interface Family {
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly samples: readonly Sample[];
}

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What a scrape told, by the names of its metrics. */
export type Told = ReadonlyMap<string, Family>;

/**
 * Reads the text format, version 0.0.4, and is stricter than a scraper: each family has its help and type
 * before its samples, no series comes twice, counters are named as such, and histograms add up.
 */
export function readMetrics(text: string): Told {
  assert.match(text, /[^\n]\n$/, 'the last line ends, and nothing follows it');
  const families = new Map<string, { help: string; type: Family['type']; samples: Sample[] }>();
  const lines = text.split('\n').filter((line) => line !== '');
  for (let i = 0; i < lines.length;) {
    const [, name = '', help = ''] = /^# HELP ([a-z0-9_]+) (\S.*\S)$/.exec(lines[i++] ?? '') ?? [];
    assert.notEqual(name, '', `no help: ${lines[i - 1]}`);
    const [, type = ''] =
      new RegExp(`^# TYPE ${name} (counter|gauge|histogram)$`).exec(lines[i++] ?? '') ?? [];
    assert.notEqual(type, '', `no type: ${lines[i - 1]}`);
    assert.ok(!families.has(name), `${name} comes twice`);
    const family = { help, type: type as Family['type'], samples: [] as Sample[] };
    while (i < lines.length && !lines[i]?.startsWith('#')) family.samples.push(sampleOf(lines[i++] ?? ''));
    families.set(name, family);
    check(name, family);
  }
  assert.ok(families.size > 5);
  return families;
}

/** The value of one series; NaN where there is none. */
export function valueOf(told: Told, name: string, labels: Record<string, string> = {}): number {
  const family = told.get(name) ?? told.get(name.replace(/_(count|sum|bucket)$/, ''));
  assert.ok(family, `there is no ${name}`);
  const found = family.samples.find(
    (sample) => sample.name === name && keyOf(sample) === keyOf({ name, labels, value: 0 }),
  );
  return found?.value ?? NaN;
}

function sampleOf(line: string): Sample {
  const [, name = '', inside = '', number = ''] =
    /^([a-z][a-z0-9_]*)(?:\{((?:[a-z]+="[^"\\\n]*",?)+)\})? (-?\d+(?:\.\d+)?(?:e[+-]\d+)?|\+Inf)$/.exec(
      line,
    ) ?? [];
  assert.notEqual(name, '', `no sample: ${line}`);
  const labels = [...inside.matchAll(/([a-z]+)="([^"]*)"/g)].map(([, label, value]) => [label, value]);
  return { name, labels: Object.fromEntries(labels) as Record<string, string>, value: Number(number) };
}

function check(name: string, { type, samples }: Family): void {
  assert.equal(new Set(samples.map(keyOf)).size, samples.length, `a series of ${name} comes twice`);
  assert.equal(type === 'counter', name.endsWith('_total'), name);
  if (type !== 'histogram')
    return assert.ok(
      samples.every((sample) => sample.name === name),
      name,
    );
  const parts = samples.map((sample) => sample.name.slice(name.length));
  assert.ok(
    parts.every((part) => ['_bucket', '_sum', '_count'].includes(part)),
    name,
  );
  for (const count of samples.filter((sample) => sample.name.endsWith('_count'))) {
    const buckets = samples.filter(
      ({ name: one, labels: { le, ...labels } }) =>
        le !== undefined && keyOf({ name: one, labels, value: 0 }) === keyOf({ ...count, name: one }),
    );
    const values = buckets.map(({ value }) => value);
    assert.deepEqual(
      values,
      values.toSorted((a, b) => a - b),
      `${name} is not cumulative`,
    );
    assert.equal(buckets.at(-1)?.labels.le, '+Inf');
    assert.equal(values.at(-1), count.value);
  }
}

function keyOf({ name, labels }: Sample): string {
  return `${name} ${JSON.stringify(Object.entries(labels).sort())}`;
}
