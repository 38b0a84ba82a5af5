import process from 'node:process';
import type { Command } from 'commander';
import { audit, type Breach } from '../core/audit.js';
import { counted, print, printJson, warn } from './output.js';
import { withSession } from './session.js';

/** A count over a large list is one query, and nobody waits for it but whoever audits. */
const timeoutMs = 10 * 60_000;

/** Where so much is wrong, more of it tells nothing new. */
const mostBreaches = 1000;

export function addAuditCommand(program: Command): void {
  program
    .command('audit')
    .summary('check that the database keeps its rules')
    .description(
      'Checks all that has to hold in the database at any time: feed numbers, counts, hashes and forms of ' +
        'addresses, times, references, expiries, settings. Reads alone, in small steps, while the service runs. ' +
        'Ends with 1 where a rule is broken. No address is printed: opt-outs are named by their key.',
    )
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  $ signoff audit\n  $ signoff audit --json > audit.json')
    .action((options: { json?: true }) =>
      withSession(
        async ({ db }) => {
          const found: Breach[] = [];
          let isComplete = true;
          const run = audit(db);
          let step = await run.next();
          for (; !step.done; step = await run.next()) {
            found.push(step.value);
            if (!options.json) print(`${step.value.code}  ${step.value.table}: ${step.value.description}`);
            if (found.length < mostBreaches) continue;
            isComplete = false;
            break;
          }
          const totals = step.done ? step.value : null;
          if (found.length > 0) process.exitCode = 1;
          if (options.json) {
            return printJson({
              ok: found.length === 0,
              is_complete: isComplete,
              lists: totals?.lists ?? null,
              opt_outs: totals?.optOuts ?? null,
              breaches: found,
            });
          }
          const checked =
            totals === null
              ? ''
              : ` in ${counted(totals.optOuts, 'opt-out', 'opt-outs')} of ${counted(totals.lists, 'list', 'lists')}`;
          if (found.length === 0) print(`No breach${checked}.`);
          else
            warn(
              `${counted(found.length, 'breach', 'breaches')}${checked}${isComplete ? '' : ', and it ends there'}.`,
            );
        },
        { timeoutMs },
      ),
    );
}
