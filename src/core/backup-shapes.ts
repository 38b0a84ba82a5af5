import { z } from 'zod';
import { Refused } from '../errors.js';

export const formatName = 'signoff backup';
export const formatVersion = 1;

/** What names something: it is told again, so nothing that would move a terminal's cursor. */
const name = z
  .string('has to be a text')
  .regex(/^\P{Cc}{1,255}$/u, 'has to be a text of 1 to 255 characters, without control characters');
const names = z
  .array(name, 'has to be a list of texts')
  .refine((all) => new Set(all).size === all.length, 'names one of them twice');
const count = z.int('has to be a whole number').nonnegative('has to be 0 or more');

const header = z.object({
  format: z.literal(formatName),
  version: z.literal(formatVersion, 'has to be a number'),
  /** The version of Signoff that made it. */
  signoff: name,
  /** As RFC 3339 writes it. */
  created_at: z.iso.datetime('has to be a time as RFC 3339 writes it'),
  engine: z.enum(['mysql', 'sqlite'], 'has to be mysql or sqlite'),
  /** By name, those that its tables have been through. */
  migrations: names.min(1, 'names none'),
  /** Of the installation's secret; null where the database has not met one. */
  fingerprint: name.nullable(),
  /** Null where it was left out. */
  secret: name.max(512).nullable(),
});

const table = z
  .object({
    table: name,
    columns: names.min(1, 'names none'),
    /** Those of the columns whose values are binary. */
    octets: names,
    /** The id that its next row gets; null where it gives none. */
    next_id: z.int('has to be a whole number, or null').positive('has to be 1 or more').nullable(),
  })
  .refine(({ columns, octets }) => octets.every((one) => columns.includes(one)), {
    path: ['octets'],
    error: 'names what is not among the columns',
  });

const trailer = z.object({
  rows: z.record(z.string(), count, 'has to say how many rows each table has'),
  sha256: z.string('has to be a text'),
});

export type BackupHeader = Readonly<z.infer<typeof header>>;
export type BackupTable = Readonly<z.infer<typeof table>>;
export type BackupTrailer = Readonly<z.infer<typeof trailer>>;

/** @throws Refused for what is no backup, comes from a later format, or was damaged. */
export function headerIn(value: unknown): BackupHeader {
  const { format, version, signoff } = objectIn(value);
  if (format !== formatName) {
    throw new Refused('backup', 'This is no backup that signoff backup has made.');
  }
  if (typeof version === 'number' && version !== formatVersion) {
    const maker = name.safeParse(signoff);
    throw new Refused(
      'newer',
      `This backup is of the format ${version}, made by ${maker.success ? `Signoff ${maker.data}` : 'another Signoff'}; this Signoff reads ${formatVersion}.`,
    );
  }
  return shapedAs(header, value, 'The first line of this backup');
}

/**
 * A line that names a table, or the last one; null for what is neither.
 *
 * @param where says which line it is.
 * @throws Refused for one that was damaged.
 */
export function markIn(value: unknown, where: string): BackupTable | BackupTrailer | null {
  const line = objectIn(value);
  const what = `This backup's ${where}`;
  if ('table' in line) return shapedAs(table, value, what);
  return 'sha256' in line ? shapedAs(trailer, value, what) : null;
}

/** Whether a value can stand in its column: a text in hexadecimal, or one that is not binary. */
export function isValue(value: unknown, isOctets: boolean): boolean {
  if (value === null) return true;
  if (isOctets) return typeof value === 'string' && value.length % 2 === 0 && !/[^0-9a-f]/.test(value);
  return typeof value === 'string' || typeof value === 'number';
}

function objectIn(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** Tells the field and what it has to be, and never what it is: it may be the secret. */
function shapedAs<T>(shape: z.ZodType<T>, value: unknown, what: string): T {
  const read = shape.safeParse(value);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const [field = 'it', place] = issue?.path ?? [];
  const at = typeof place === 'number' ? ` (entry ${place + 1})` : '';
  const isMissing = typeof field === 'string' && !(field in objectIn(value));
  const problem = isMissing ? 'is missing' : (issue?.message ?? 'cannot be read');
  throw new Refused('damaged', `${what} is damaged: ${String(field)}${at} ${problem}.`);
}
