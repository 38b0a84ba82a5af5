import { readFileSync } from 'node:fs';
import { Refused } from '../errors.js';
import { codeOf } from './whole-file.js';

/**
 * What is secret comes out of a file: other users of the machine can read a command's arguments.
 *
 * @param file `-` for standard input.
 * @throws Refused where it cannot be read.
 */
export function firstLineOf(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8').split(/\r?\n/)[0] ?? '';
  } catch (error) {
    throw new Refused('file', `${file} cannot be read (${codeOf(error)}).`);
  }
}
