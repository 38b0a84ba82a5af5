import process from 'node:process';

/** How many milliseconds of a core this takes of our process: whoever else is at work on the machine adds nothing. */
export async function cpuTimeOf(work: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
