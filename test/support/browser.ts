import { existsSync } from 'node:fs';
import { chromium, type Browser } from 'playwright-core';
import { skipBecause } from './engine.js';

export const executablePath = process.env.SIGNOFF_CHROMIUM ?? '/usr/bin/chromium';
export const quiet =
  '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';

/** A real browser. Where this machine has none, the suite is skipped, which CI takes for a failure. */
export async function launchBrowser(context: Mocha.Context): Promise<Browser> {
  if (!existsSync(executablePath)) skipBecause(context, `${executablePath} is missing`);
  return chromium.launch({ executablePath, args: quiet.split(' ') });
}
