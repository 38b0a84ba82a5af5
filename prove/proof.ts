export type Engine = 'sqlite' | 'mysql';

export interface Setting {
  readonly engine: Engine;
  /** `quick` takes seconds, as a part of the suite; `long` is what the figures of docs/reliability.md come from. */
  readonly size: 'quick' | 'long';
  /** Tells the person at the terminal how far it is. */
  readonly say: (text: string) => void;
}

/** One line of what a proof has seen. */
export interface Finding {
  /** What was done, as in "SIGKILL of the service". */
  readonly what: string;
  /** Faults that were injected. */
  readonly faults?: number;
  /** Requests that were sent, and those that were answered with success. */
  readonly sent?: number;
  readonly acknowledged?: number;
  /** Of those acknowledged. */
  readonly lost?: number;
  readonly doubled?: number;
  /** What else was counted or measured, in a few words. */
  readonly figure?: string;
  /** Whether the promise held; for a control, whether the breach that was built in was seen. */
  readonly holds: boolean;
  /** The same proof against something that is broken on purpose: one that sees nothing there is blind. */
  readonly isControl?: boolean;
  /** What this machine lacks for it: then it was not done, and nothing else is told. */
  readonly notRun?: string;
}

/** The proof of one promise of docs/reliability.md, or of a part of it. */
export interface Proof {
  /** Its number there. */
  readonly promise: number;
  /** One word, for `--only`. */
  readonly name: string;
  /** The promise in a sentence. */
  readonly says: string;
  readonly engines: readonly Engine[];
  /** Whether it has a quick form, which is a part of the suite. */
  readonly isQuickToo: boolean;
  readonly prove: (setting: Setting) => Promise<Finding[]>;
}
