import type { RowDataPacket } from 'mysql2';
import { createConnection } from 'mysql2/promise';
import { startLoad } from '../../test/support/ledger.js';
import type { Finding } from '../proof.js';
import type { Stage } from './cluster-stage.js';
import { differencesOf, digestsOf } from './same-rows.js';

/** What the proof must be able to see: rows that one node alone has lost, and a cluster begun anew from the wrong node. */
export async function controls(stage: Stage): Promise<Finding[]> {
  return [await deleteOnOneNode(stage), await bootstrapFromTheOneBehind(stage)];
}

async function deleteOnOneNode({ cluster, acknowledged }: Stage): Promise<Finding> {
  const [one, , three] = cluster.nodes;
  const connection = await createConnection(`${three.url}signoff`);
  await connection.query('SET SESSION wsrep_on = OFF');
  await connection.query('DELETE FROM opt_outs ORDER BY list_id, address_key, tag LIMIT 1');
  await connection.end();
  const [whole, lacking] = await Promise.all([one, three].map(({ url }) => digestsOf(`${url}signoff`)));
  const differing = differencesOf(whole ?? {}, lacking ?? {});
  const lost = missing(acknowledged(), await addressesOn(three.url));
  return {
    what: "one row of one node is deleted behind the cluster's back",
    lost,
    figure: `not the same: ${differing.join(', ')}`,
    holds: lost === 1 && differing.join() === 'opt_outs',
    isControl: true,
  };
}

/** As an operator might who takes the first machine that answers. */
async function bootstrapFromTheOneBehind({ cluster, installation, until }: Stage): Promise<Finding> {
  const [one, two, three] = cluster.nodes;
  const service = await installation.start({ DATABASE_TIMEOUT_MS: '5000' });
  try {
    await three.kill9();
    const { link, ways } = installation;
    const load = startLoad(() => service.url, link, { connections: 16, name: 'behind', ways });
    await until('some are acknowledged without the third node', () => load.ledger.acked.size >= 500);
    await load.stop();
    await Promise.all([one.kill9(), two.kill9()]);
    await cluster.bootstrapFrom(three);
    const { size: acknowledged } = load.ledger.acked;
    const lost = missing(load.ledger.acked, await addressesOn(three.url));
    return {
      what: 'the cluster is begun anew from a node that had died earlier',
      ...{ acknowledged, lost, holds: lost > 0, isControl: true },
    };
  } finally {
    await service.stop();
  }
}

function missing(emails: Iterable<string>, there: ReadonlySet<string>): number {
  return [...emails].filter((email) => !there.has(email)).length;
}

/** Straight from one node, whatever the others have. */
async function addressesOn(url: string): Promise<Set<string>> {
  const connection = await createConnection(`${url}signoff`);
  try {
    const [rows] = await connection.query<RowDataPacket[]>('SELECT address FROM opt_outs');
    return new Set(rows.map(({ address }) => String(address)));
  } finally {
    await connection.end();
  }
}
