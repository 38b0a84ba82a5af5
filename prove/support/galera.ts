import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { findProgram, ownerOf } from '../../test/support/mariadb.js';
import { findLibrary, freePorts, makeNode, type GaleraNode, type Ports } from './galera-node.js';

/** What this machine lacks to run a Galera cluster; null where nothing does. */
export function whatGaleraLacks(): string | null {
  if (findProgram('mariadbd') === null) return 'no mariadbd';
  if (findLibrary() === null) return 'no galera-4';
  return findProgram('rsync') === null ? 'no rsync' : null;
}

export interface GaleraCluster {
  readonly nodes: readonly [GaleraNode, GaleraNode, GaleraNode];
  /**
   * After all nodes have died: the one with the most advanced files begins the cluster anew, as
   * docs/running-many-nodes.md tells operators to do it. The others rejoin.
   */
  readonly bootstrapMostAdvanced: () => Promise<GaleraNode>;
  /** What one must not do: a cluster from the files of any other node. */
  readonly bootstrapFrom: (node: GaleraNode) => Promise<void>;
  /** Ends all servers and removes their folders. */
  readonly stop: () => Promise<void>;
}

/**
 * Three nodes of a Galera cluster on loopback, each a process with ports of its own, set as in production:
 * a commit is on the disk of the node that took it, and in the memory of all others. They end with this
 * process, unless that one is killed the hard way.
 */
export async function startGalera(): Promise<GaleraCluster> {
  const lacks = whatGaleraLacks();
  if (lacks !== null) throw new Error(`no Galera cluster can run here: ${lacks}`);
  const folder = await mkdtemp(path.join(os.tmpdir(), 'signoff-galera-'));
  const servers = new Set<ChildProcess>();
  const removeAll = () => {
    for (const server of servers) server.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  const leave = () => process.exit(130);
  process.on('exit', removeAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, leave);

  const ports: Ports[] = [];
  for (let i = 0; i < 3; i++) ports.push(await freePorts());
  const owner = await ownerOf(folder);
  const password = randomBytes(12).toString('hex');
  const settings = { folder, owner, password, ports, servers };
  const [one, two, three] = [0, 1, 2].map((i) => makeNode(settings, i));
  if (one === undefined || two === undefined || three === undefined) throw new Error('three nodes');
  const nodes = [one, two, three] as const;

  const bootstrapFrom = async (node: GaleraNode) => {
    const chosen = nodes.find(({ name }) => name === node.name);
    if (chosen === undefined) throw new Error(`no node ${node.name}`);
    await chosen.markSafe();
    await chosen.start([...(await chosen.startPosition()), '--wsrep-new-cluster']);
  };
  try {
    await one.create();
    await one.start(['--wsrep-new-cluster', `--init-file=${await writeInitFile(folder, password)}`]);
    await two.rejoin();
    await three.rejoin();
  } catch (error) {
    removeAll();
    throw error;
  }
  return {
    nodes,
    bootstrapFrom,
    async bootstrapMostAdvanced() {
      let best: GaleraNode = one;
      let newest = -Infinity;
      for (const node of nodes) {
        const number = await node.recoveredNumber();
        if (number > newest) [best, newest] = [node, number];
      }
      await bootstrapFrom(best);
      return best;
    },
    async stop() {
      for (const node of nodes) await node.kill9();
      removeAll();
      process.off('exit', removeAll);
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, leave);
    },
  };
}

/** Read at the first start alone: users are replicated like everything else. */
async function writeInitFile(folder: string, password: string): Promise<string> {
  const file = path.join(folder, 'init.sql');
  const statements = ['127.0.0.1', 'localhost'].flatMap((host) => [
    `CREATE USER 'signoff'@'${host}' IDENTIFIED BY '${password}';`,
    `GRANT ALL PRIVILEGES ON *.* TO 'signoff'@'${host}' WITH GRANT OPTION;`,
  ]);
  await writeFile(file, `${statements.join('\n')}\n`);
  return file;
}
