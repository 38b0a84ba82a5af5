import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

interface Package {
  version?: string;
  bin?: string | Record<string, string>;
  engines?: { node?: string };
  scripts?: Record<string, string>;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

const root = path.resolve(import.meta.dirname, '..');
const read = (file: string): unknown => JSON.parse(readFileSync(path.join(root, file), 'utf8'));
const own = read('package.json') as Package;
const { packages: locked } = read('package-lock.json') as { packages: Record<string, Package> };

const inProduction = { ...own.dependencies, ...own.optionalDependencies };
const direct = { ...inProduction, ...own.devDependencies };

/** Versions below these have holes that are known; `npm audit` cannot be reached from everywhere. */
const floors: Record<string, string> = {
  'better-sqlite3': '12.8.0', // SQLite's WAL-reset bug loses commits
  'body-parser': '2.3.0',
  ejs: '3.1.10',
  'express-rate-limit': '8.2.2',
  i18next: '26.3.4',
  'ip-address': '10.7.4',
  knex: '2.4.0',
  mysql2: '3.9.8',
  'path-to-regexp': '8.4.0',
  'proxy-addr': '2.0.8',
  qs: '6.14.1',
};

/** Major versions that do not run on Node 20, whatever their `engines` say. */
const ceilings: Record<string, number> = { 'better-sqlite3': 13, i18next: 27, typescript: 7 };

/** The oldest Node that `engines` promises. */
const oldestNode = '20.19.0';

type Version = [major: number, minor: number, patch: number];

function versionOf(text: string): Version {
  const parts = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?/.exec(text);
  if (parts === null) throw new Error(`${text} is no version`);
  return [Number(parts[1]), Number(parts[2] ?? 0), Number(parts[3] ?? 0)];
}

function compare(one: Version, other: Version): number {
  return one[0] - other[0] || one[1] - other[1] || one[2] - other[2];
}

/** Whether a range of npm's accepts a version, for the kinds of range that lock files hold here. */
function accepts(range: string, version: string): boolean {
  const alternatives = range.replace(/(>=|<=|>|<|\^|~)\s+/g, '$1').split('||');
  return alternatives.some((all) =>
    all
      .trim()
      .split(/\s+/)
      .every((one) => meets(versionOf(version), one)),
  );
}

function meets(version: Version, comparator: string): boolean {
  const [, operator, text] = /^(>=|<=|>|<|\^|~|=)?(.*)$/.exec(comparator) ?? [];
  if (operator === undefined && (text === '' || text === '*')) return true;
  const wanted = versionOf(text ?? '');
  const order = compare(version, wanted);
  const named = (text ?? '').split('.').filter((part) => /^\d+$/.test(part)).length;
  switch (operator ?? '=') {
    case '>=':
      return order >= 0;
    case '>':
      return order > 0;
    case '<':
      return order < 0;
    case '<=':
      return order <= 0;
    case '^':
      if (wanted[0] === 0) throw new Error(`${comparator}: a caret below 1.0.0 means something else`);
      return order >= 0 && version[0] === wanted[0];
    case '~':
      return order >= 0 && version[0] === wanted[0] && (named < 2 || version[1] === wanted[1]);
    default:
      return version.slice(0, named).every((part, place) => part === wanted[place]);
  }
}

function nameOf(place: string): string {
  return place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length);
}

function sourcesUnder(...folders: string[]): string[] {
  return folders
    .filter((folder) => existsSync(path.join(root, folder)))
    .flatMap((folder) =>
      readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((file) => /\.[cm]?[jt]s$/.test(file))
        .map((file) => path.join(folder, file)),
    );
}

/** The packages that a source file imports, requires or resolves, without Node's own. */
function importedBy(file: string): string[] {
  const source = readFileSync(path.join(root, file), 'utf8');
  const specifiers = source.matchAll(
    /^(?:import|export|\}).*?\bfrom '([^'.][^']*)'|(?:^import |\bimport\(|\brequire\(|\bresolve\()\s*'([^'.][^']*)'/gm,
  );
  return [...specifiers]
    .map((found) => found[1] ?? found[2] ?? '')
    .filter((specifier) => /^(?:@[\w.-]+\/)?[\w.-]+(?:\/|$)/.test(specifier))
    .map((specifier) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/'));
}

describe('The packages we depend on', () => {
  it('all accept the oldest Node that we promise to run on', () => {
    assert.equal(accepts(own.engines?.node ?? '', oldestNode), true);
    const refusing = Object.entries(locked)
      .filter(([, { engines }]) => engines?.node !== undefined && !accepts(engines.node, oldestNode))
      .map(([place, { engines }]) => `${place} wants ${engines?.node}`);
    assert.deepEqual(refusing, []);
  });

  it('are none of the versions with known holes, nor any that Node 20 cannot run', () => {
    const found = Object.entries(locked).map(([place, { version }]) => ({ name: nameOf(place), version }));
    for (const [name, floor] of Object.entries(floors)) {
      const versions = found.filter((one) => one.name === name).map(({ version = '0' }) => version);
      assert.notEqual(versions.length, 0, `${name} is not in the lock file: take it off this table`);
      for (const version of versions) {
        assert.ok(compare(versionOf(version), versionOf(floor)) >= 0, `${name} ${version} is below ${floor}`);
      }
    }
    for (const { name, version = '0' } of found) {
      assert.ok(versionOf(version)[0] < (ceilings[name] ?? Infinity), `${name} ${version} is too new`);
    }
  });

  it('are pinned exactly, and locked as they are pinned', () => {
    for (const [name, wanted] of Object.entries(direct)) {
      assert.match(wanted, /^\d+\.\d+\.\d+$/, `${name} ${wanted}`);
      assert.equal(locked[`node_modules/${name}`]?.version, wanted, name);
    }
  });

  it('are all used, and all that is used is declared', () => {
    const shipped = new Set(sourcesUnder('src', 'migrations', 'bin').flatMap(importedBy));
    const rootFiles = readdirSync(root).filter((file) => /\.[cm]?[jt]s$/.test(file));
    const others = new Set([...sourcesUnder('test', 'bench', 'prove'), ...rootFiles].flatMap(importedBy));
    const commands = new Set(Object.values(own.scripts ?? {}).flatMap((script) => script.split(/[\s=]+/)));
    const isCommand = (name: string) => {
      const bin = locked[`node_modules/${name}`]?.bin;
      return (
        commands.has(name) || Object.keys(typeof bin === 'object' ? bin : {}).some((one) => commands.has(one))
      );
    };
    const typed = (name: string) => name.replace(/^@types\//, '');
    const isUsed = (name: string): boolean =>
      shipped.has(name) ||
      others.has(name) ||
      isCommand(name) ||
      (name.startsWith('@types/') && (typed(name) === 'node' || typed(name) in direct));

    assert.deepEqual(
      Object.keys(direct).filter((name) => !isUsed(name)),
      [],
      'declared, but not used',
    );
    assert.deepEqual(
      [...shipped].filter((name) => !(name in inProduction)),
      [],
      'used in production, but not in dependencies',
    );
    assert.deepEqual(
      [...others].filter((name) => !(name in direct)),
      [],
      'used, but not declared',
    );
  });
});

describe('The check of version ranges', () => {
  it('reads ranges as npm does', () => {
    const accepting = [
      ...[
        '*',
        '',
        '>=18',
        '>= 18',
        '>=20.19.0',
        '>= 20.19',
        '^20.19.0 || >=22.12.0',
        '20',
        '20.x',
        '20.19.x',
      ],
      ...[
        '18 || 20 || >=22',
        '>=16 || 14 >=14.17',
        '10.* || >= 12.*',
        '>= 10.x',
        '~20.19',
        '>=18 <21',
        '>0.8',
      ],
    ];
    const refusing = [
      ...['>=20.19.1', '^20.20.0', '^18.18.0 || >=22', '22.x', '18', '20.18.x', '>=18 <20', '14 >=14.17'],
      ...['~20.18.0', '^22.0.0', '>= 22', '>20.19.0', '<20'],
    ];
    for (const range of accepting) assert.equal(accepts(range, oldestNode), true, range);
    for (const range of refusing) assert.equal(accepts(range, oldestNode), false, range);
    assert.throws(() => accepts('latest', oldestNode), /no version/);
  });
});
