import process from 'node:process';
import { projectPath } from '../../src/paths.js';

/**
 * How Node is to run a program of ours: as `npm test` has built it, which starts in a third of the time,
 * or else from its source.
 */
export function programArguments(program: 'server' | 'cli'): string[] {
  return process.env.SIGNOFF_TEST_BUILT === 'yes'
    ? [projectPath('dist', 'src', `${program}.js`)]
    : [`--import=${import.meta.resolve('tsx')}`, projectPath('src', `${program}.ts`)];
}
