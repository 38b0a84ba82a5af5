import { createConnection } from 'mysql2/promise';
import { audit } from '../src/core/audit.js';
import type { Finding, Proof } from './proof.js';
import { startStage, type Phase, type Stage } from './support/cluster-stage.js';
import { whatGaleraLacks } from './support/galera.js';
import { compare, readBack } from './support/read-back.js';
import { differencesOf, digestsOf } from './support/same-rows.js';
import { controls } from './support/cluster-controls.js';

/** From the fault to the first acknowledged answer to a request that was sent after it. */
const mostMsAway = 10_000;
/** For what nobody can tell from a slow network at once: the cluster waits before it gives such a node up. */
const mostMsCutOff = 20_000;

export const galera: Proof = {
  promise: 1,
  name: 'galera',
  says: 'Three Galera nodes and two service nodes lose nothing that was acknowledged, whichever of them die',
  engines: ['mysql'],
  isQuickToo: false,
  async prove({ say }) {
    const lacks = whatGaleraLacks();
    if (lacks !== null) {
      return [{ what: 'three Galera nodes, two service nodes', notRun: lacks, holds: true }];
    }
    const stage = await startStage(say);
    try {
      const phases = [];
      for (const fault of [killWriter, rejoin, killKeeper, cutWriterOff, freezeWriter, loseFiles, killAll]) {
        phases.push(await fault(stage));
      }
      await stage.stopLoad();
      return [...(await whatIsLeft(stage, phases)), ...(await controls(stage))];
    } finally {
      await stage.close();
    }
  },
};

const killWriter = (stage: Stage) =>
  stage.phase('SIGKILL of the database node written to', mostMsAway, async () => {
    await stage.writer().kill9();
  });

/** Which gets the writes back, as the first in order. */
const rejoin = (stage: Stage) =>
  stage.phase('the killed database node rejoins, and is written to again', mostMsAway, async ({ figure }) => {
    const [node] = stage.cluster.nodes;
    await node.rejoin();
    await stage.until('it is written to', () => stage.isWrittenTo(node));
    figure(await howItRejoined(node.log()));
  });

const killKeeper = (stage: Stage) =>
  stage.phase('SIGKILL of the service node that is the keeper', mostMsAway, async ({ figure }) => {
    const { tookMs } = await stage.killKeeper();
    figure(`the other one has numbered on after ${seconds(tookMs)}`);
  });

const cutWriterOff = (stage: Stage) =>
  stage.phase(
    'the network between the database node written to and the two others fails',
    mostMsCutOff,
    async ({ afterwards }) => {
      const node = stage.writer();
      await isolate(node.url, 1);
      afterwards(async () => {
        await isolate(node.url, 0);
        await stage.until('it is written to again', () => stage.isWrittenTo(node));
      });
    },
  );

const freezeWriter = (stage: Stage) =>
  stage.phase('SIGSTOP of the database node written to', mostMsCutOff, async ({ afterwards }) => {
    const node = stage.writer();
    node.signal('SIGSTOP');
    afterwards(async () => {
      node.signal('SIGCONT');
      await stage.until('it is written to again', () => stage.isWrittenTo(node));
    });
    await Promise.resolve();
  });

const loseFiles = (stage: Stage) =>
  stage.phase('a database node loses its files, and rejoins empty', mostMsAway, async ({ figure }) => {
    const [, , node] = stage.cluster.nodes;
    await node.kill9();
    await node.loseFiles();
    await node.rejoin();
    figure(await howItRejoined(node.log()));
  });

const killAll = (stage: Stage) =>
  stage.phase('SIGKILL of all three database nodes at once', mostMsAway, async ({ figure, countFrom }) => {
    const { nodes } = stage.cluster;
    const startedAt = Date.now();
    await Promise.all(nodes.map((node) => node.kill9()));
    const first = await stage.cluster.bootstrapMostAdvanced();
    figure(
      `cluster begun anew from ${first.name} after ${seconds(Date.now() - startedAt)}, counted from there`,
    );
    countFrom();
    await Promise.all(nodes.filter((node) => node !== first).map((node) => node.rejoin()));
  });

/** Galera's own switch for this: the node talks to its clients, and to no other node. */
async function isolate(url: string, how: 0 | 1): Promise<void> {
  const connection = await createConnection(url);
  await connection.query(`SET GLOBAL wsrep_provider_options = 'gmcast.isolate=${how}'`);
  connection.destroy();
}

async function howItRejoined(log: Promise<string>): Promise<string> {
  const text = await log;
  const isWhole = /SST completed on joiner/.test(text);
  return isWhole ? 'by SST' : 'by IST';
}

async function whatIsLeft(stage: Stage, phases: readonly Phase[]): Promise<Finding[]> {
  const { installation, cluster, reader } = stage;
  const all = stage.acknowledged();
  const found = await readBack(installation, stage.services[0].url);
  const other = await readBack(installation, stage.services[1].url);
  const totals = [compare(all, found), compare(all, other)];
  await reader.finish();
  const unread = all.filter((email) => !reader.copy.has(email)).length;
  const numbers = await stage.numbersOfRows();
  const breaches: string[] = [];
  const optOuts = await installation.withDb(async (db) => {
    const run = audit(db);
    for (;;) {
      const step = await run.next();
      if (step.done) return step.value.optOuts;
      breaches.push(step.value.code);
    }
  });
  await stage.stopServices();
  const digests = await Promise.all(cluster.nodes.map(({ url }) => digestsOf(`${url}signoff`)));
  const [first = {}, ...others] = digests;
  const differing = others.flatMap((digest) => differencesOf(first, digest));
  const { deltas, failed, gone } = reader.counts;
  return [
    ...phases.map((phase) => phase.finding(compare(phase.acknowledged, found))),
    {
      what: 'all of it, read back through both service nodes: rows, download, delta, feed, Mailgun',
      sent: stage.sent(),
      acknowledged: all.length,
      lost: Math.max(...totals.map(({ lost }) => lost)),
      doubled: Math.max(...totals.map(({ doubled }) => doubled)),
      figure: `refusals that were no 503 with Retry-After: ${stage.otherRefusals()}`,
      holds: totals.every(({ lost, doubled }) => lost + doubled === 0) && stage.otherRefusals() === 0,
    },
    {
      what: 'a copy that was kept by deltas all the while',
      acknowledged: all.length,
      lost: unread,
      doubled: numbers.rows - numbers.distinct,
      figure: `${deltas} deltas, ${failed} more failed, ${gone} answered 410; ${numbers.rows} rows, ${numbers.distinct} numbers`,
      holds: unread === 0 && gone === 0 && numbers.rows === numbers.distinct,
    },
    {
      what: 'every table on each database node',
      figure: `${Object.keys(first).length} tables, ${first.opt_outs?.rows} opt-outs; not the same: ${differing.join(', ') || 'none'}`,
      holds: differing.length === 0 && others.length === 2 && first.opt_outs?.rows === numbers.rows,
    },
    {
      what: 'signoff audit',
      figure: `${breaches.length} breaches in ${optOuts} opt-outs`,
      holds: breaches.length === 0 && optOuts === numbers.rows,
    },
  ];
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
