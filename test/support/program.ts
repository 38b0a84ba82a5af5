import { createRequire } from 'node:module';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { projectPath } from '../../src/paths.js';

/** Whether `npm test` has built the programs from the source as it is. */
export const isBuilt = process.env.SIGNOFF_TEST_BUILT === 'yes';

/**
 * How Node is to run a program of ours: as `npm test` has built it, which starts in a third of the time,
 * or else from its source.
 */
export function programArguments(program: 'server' | 'cli'): string[] {
  return isBuilt
    ? [projectPath('dist', 'src', `${program}.js`)]
    : [`--import=${loader()}`, projectPath('src', `${program}.ts`)];
}

/** Not by import.meta.resolve, which there is not where Mocha has to load a test file as CommonJS. */
export function loader(): string {
  return pathToFileURL(createRequire(projectPath('package.json')).resolve('tsx')).href;
}
