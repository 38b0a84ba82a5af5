#!/usr/bin/env node
import { existsSync } from 'node:fs';

const cli = new URL('../dist/src/cli.js', import.meta.url);
if (existsSync(cli)) {
  await import(cli.href);
} else {
  console.error('Signoff is not built yet: run `npm run build` (or `npm start`) in its folder first.');
  process.exitCode = 1;
}
