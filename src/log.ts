import pino, { type DestinationStream, type Logger } from 'pino';

const longestMessage = 500;

/**
 * The log: a JSON object a line. Neither keys nor addresses get into it: of an error it holds the name,
 * the codes, the frames, and the message with all that could be anybody's data masked. Drivers put
 * statements and values into their errors.
 */
export function createLog(level: string, destination?: DestinationStream): Logger {
  const options = { level, serializers: { err: errorForLog } };
  return destination === undefined ? pino(options) : pino(options, destination);
}

interface LoggedError {
  name: string;
  message: string;
  code?: unknown;
  errno?: unknown;
  frames: string[];
  cause?: LoggedError;
}

/** @param depth how many causes are followed. */
function errorForLog(error: unknown, depth = 3): LoggedError | { message: string } {
  if (!(error instanceof Error)) return { message: masked(String(error)) };
  const { code, errno } = error as { code?: unknown; errno?: unknown };
  const cause = error.cause instanceof Error && depth > 0 ? errorForLog(error.cause, depth - 1) : undefined;
  return {
    name: error.name,
    message: masked(error.message),
    ...(code === undefined ? {} : { code }),
    ...(errno === undefined ? {} : { errno }),
    frames: (error.stack ?? '')
      .split('\n')
      .filter((line) => /^\s+at /.test(line))
      .slice(0, 12)
      .map((line) => line.trim()),
    ...(cause === undefined ? {} : { cause: cause as LoggedError }),
  };
}

/** Quoted values (`Duplicate entry '…' for key`), whatever has an @, keys, and what follows a `?` in an address. */
function masked(text: string): string {
  return text
    .slice(0, 4 * longestMessage)
    .replace(/'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/g, "'…'")
    .replace(/[^\s'"`]*[@＠][^\s'"`]*/g, '…@…')
    .replace(/so_[\w-]{20,}/g, 'so_…')
    .replace(/\?\S+/g, '?…')
    .slice(0, longestMessage);
}
