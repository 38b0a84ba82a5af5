import process from 'node:process';
import { run } from './cli/program.js';

// A reader that has seen enough (signoff … | head) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});

await run();
