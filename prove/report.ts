import type { Engine, Finding, Proof } from './proof.js';

export interface Proven {
  readonly proof: Pick<Proof, 'promise' | 'name' | 'says'>;
  readonly engine: Engine;
  readonly findings: readonly Finding[];
  readonly seconds: number;
}

/** A line for a person at a terminal. */
export function lineOf({ proof, engine }: Proven, finding: Finding): string {
  const { what, notRun, figure = notRun, isControl = false } = finding;
  const counts = countsOf(finding)
    .map(([name, count]) => `${name} ${count.toLocaleString('en')}`)
    .join(', ');
  const outcome = outcomeOf(finding);
  const told = [counts, figure].filter(Boolean).join('; ');
  return `${outcome.padEnd(6)} ${proof.promise} ${proof.name} (${engine}) ${isControl ? 'control: ' : ''}${what}: ${told}`;
}

/**
 * The table in docs/reliability.md.
 *
 * @param day on which it was done.
 */
export function tableOf(proven: readonly Proven[], day: string): string {
  const lines = [
    '| # | promise | engine | what was done | faults | sent | acknowledged | lost | doubled | figure | | on |',
    '| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- | --- | --- |',
  ];
  for (const { proof, engine, findings } of proven) {
    for (const finding of findings) {
      const { what, notRun, figure = notRun ?? '', isControl = false } = finding;
      const number = (count?: number) => count?.toLocaleString('en') ?? '';
      const cells = [
        ...[proof.promise, proof.says, engine, (isControl ? 'control: ' : '') + what],
        ...[number(finding.faults), number(finding.sent), number(finding.acknowledged)],
        ...[number(finding.lost), number(finding.doubled), figure],
        outcomeOf(finding).replace(/^[A-Z ]+$/, (loud) => `**${loud.toLowerCase()}**`),
        day,
      ];
      lines.push(`| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`);
    }
  }
  return lines.join('\n');
}

/** What did not come out as it should is loud. */
function outcomeOf({ holds, isControl = false, notRun }: Finding): string {
  if (notRun !== undefined) return 'not run';
  if (isControl) return holds ? 'caught' : 'NOT CAUGHT';
  return holds ? 'holds' : 'BROKEN';
}

function countsOf({ faults, sent, acknowledged, lost, doubled }: Finding): [string, number][] {
  return Object.entries({ faults, sent, acknowledged, lost, doubled }).filter(
    (entry): entry is [string, number] => entry[1] !== undefined,
  );
}
