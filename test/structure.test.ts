import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { projectPath } from '../src/paths.js';

const doors = ['opt-out', 'download', 'api', 'vendors', 'console', 'keeper', 'cli'];

/** What each part of src/ may import from: doors → http, core → db; a door knows no other door. */
const mayImport: Record<string, readonly string[]> = {
  db: ['db', '(top)'],
  core: ['core', 'db', '(top)'],
  http: ['http', 'core', 'db', '(top)'],
  ...Object.fromEntries(doors.map((door) => [door, [door, 'http', 'core', 'db', '(top)']])),
  // The edges of the process put the parts together.
  '(top)': [...doors, 'http', 'core', 'db', '(top)'],
};

const modules = sourceFiles().map((file) => ({
  file,
  imports: [
    ...readFileSync(projectPath('src', file), 'utf8').matchAll(/from '([^']+)'|import '([^']+)'/g),
  ].map((match) => match[1] ?? match[2] ?? ''),
}));

describe('The source', () => {
  it('imports one way: doors, then http and core, then db', () => {
    assert.ok(modules.length > 30, 'the source is found');
    const wrong = modules.flatMap(({ file, imports }) =>
      imports
        .filter((name) => name.startsWith('.'))
        .map((name) => path.posix.join(path.posix.dirname(file), name))
        .filter((target) => !target.startsWith('..'))
        .filter((target) => !mayImport[partOf(file)]?.includes(partOf(target)))
        .map((target) => `${file} imports ${target}`),
    );
    assert.deepEqual(wrong, []);
  });

  it('keeps Express out of the core and the database', () => {
    const knowing = modules.filter(({ file, imports }) => {
      const isInside = ['core', 'db'].includes(partOf(file));
      return isInside && imports.some((name) => /^(express|helmet|ejs|node:http)/.test(name));
    });
    assert.deepEqual(knowing, []);
  });

  it('has no part that nobody has given a place', () => {
    assert.deepEqual(
      modules.map(({ file }) => partOf(file)).filter((part) => mayImport[part] === undefined),
      [],
    );
  });
});

describe('The views', () => {
  it('write unescaped for includes alone', () => {
    const views = (readdirSync(projectPath('views'), { recursive: true }) as string[]).filter((f) =>
      f.endsWith('.ejs'),
    );
    assert.ok(views.length > 3);
    const unescaped = views.flatMap((file) =>
      [...readFileSync(projectPath('views', file), 'utf8').matchAll(/<%-(?!\s*include\()[^%]*%>/g)].map(
        ([tag]) => `${file}: ${tag}`,
      ),
    );
    assert.deepEqual(unescaped, []);
  });
});

function sourceFiles(): string[] {
  return (readdirSync(projectPath('src'), { recursive: true }) as string[]).filter((file) =>
    /\.ts$/.test(file),
  );
}

function partOf(file: string): string {
  return file.includes('/') ? (file.split('/')[0] ?? '') : '(top)';
}
