import { namesOf } from '../core/names-of.js';
import type { AnyVisit } from './screen.js';

/** Those who act without being somebody: each has its text. */
export const namelessActors = ['cli', 'system', 'keeper', 'recipient', 'set-up', 'demo'] as const;

/** Who did something. */
export interface ActorShown {
  readonly name: string;
  /** What they are, where the name does not say it. */
  readonly what: string | null;
}

/**
 * Names those who stand in the history as `user:3`, `credential 4`, or with a word of their own; anything else is
 * shown as it stands.
 *
 * @param actors that are asked for afterwards.
 */
export async function actorsShown(
  { deps: { db }, t }: Pick<AnyVisit, 'deps' | 't'>,
  actors: readonly string[],
): Promise<(actor: string) => ActorShown> {
  const read = new Map(actors.map((actor) => [actor, readActor(actor)]));
  const idsOf = (kind: string) => [...read.values()].flatMap((one) => (one?.kind === kind ? [one.id] : []));
  const users = await namesOf(db, 'users', idsOf('user'));
  const credentials = await namesOf(db, 'credentials', idsOf('credential'));
  return (actor) => {
    const somebody = readActor(actor);
    if (somebody?.kind === 'user') {
      return { name: users.get(somebody.id) ?? t('actors.user', { id: somebody.id }), what: null };
    }
    if (somebody?.kind === 'credential') {
      const name = credentials.get(somebody.id) ?? t('actors.key', { id: somebody.id });
      return { name, what: t('actors.isKey') };
    }
    const word = namelessActors.find((one) => one === actor);
    return { name: word === undefined ? actor : t(`actors.${word}`), what: null };
  };
}

function readActor(actor: string): { kind: string; id: number } | null {
  const [, kind, id] = /^(user|credential)[: ](\d{1,9})$/.exec(actor) ?? [];
  return kind === undefined ? null : { kind, id: Number(id) };
}
