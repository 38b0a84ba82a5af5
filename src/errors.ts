/**
 * What can go wrong in the core, by name. An error holds a code and facts, no status and no wording for
 * people: each surface translates it once (http/errors.ts, cli.ts).
 */
export class DomainError extends Error {
  override name = 'DomainError';
}

/** A value that does not pass. `field` names the parameter as its caller knows it; `problem` is a stable code. */
export class Invalid extends DomainError {
  override name = 'Invalid';
  constructor(
    readonly field: string,
    readonly problem: string,
    message: string,
  ) {
    super(message);
  }
}

/** There is no such thing, or the caller may not know that there is. */
export class NotFound extends DomainError {
  override name = 'NotFound';
}

/** The caller is known well enough to be told no. `reason` is a stable code. */
export class Refused extends DomainError {
  override name = 'Refused';
  constructor(
    readonly reason: string,
    message: string,
  ) {
    super(message);
  }
}

/** There is as much of it as may be: it passes later, when some of that is over. */
export class TooMany extends Refused {
  override name = 'TooMany';
}

/** A cursor that the feed can no longer serve: the whole list has to be taken again. */
export class CursorGone extends DomainError {
  override name = 'CursorGone';
}

/**
 * It could not be done now, and whether it was done is unknown: every write can be repeated.
 * Raised for a full queue, a database that does not answer, and a service that is stopping.
 */
export class Unavailable extends DomainError {
  override name = 'Unavailable';
}

/** The service must not start as it is set up. The message says what to change. */
export class StartRefused extends DomainError {
  override name = 'StartRefused';
}
