import { setTimeout as sleep } from 'node:timers/promises';
import { startProxy } from '../../test/support/proxy.js';
import { isSynced } from './galera-node.js';

export interface OneWriter {
  /** Like a node's: `mysql://signoff:…@127.0.0.1:port/`. */
  readonly url: string;
  /** The node that connections go to now; null while none may be written to. */
  readonly active: () => string | null;
  readonly close: () => Promise<void>;
}

const everyMs = 1000;
const fall = 2;
const rise = 2;

/**
 * Stands between a service node and the cluster, and does what HAProxy does as docs/running-many-nodes.md sets it
 * up: all connections go to the first node, in their order, that is in the cluster and has caught up. When
 * that becomes another, those that stand are broken off, so that no two nodes are written to.
 */
export async function startOneWriter(
  nodes: readonly { readonly name: string; readonly url: string }[],
): Promise<OneWriter> {
  /** `against` counts checks in a row that said otherwise than what stands. */
  const states = nodes.map(({ name, url }) => ({ name, url: new URL(url), isUp: true, against: 0 }));
  let active = states[0];
  let isClosed = false;
  const proxy = await startProxy(() => ({ port: Number(active?.url.port), hostname: '127.0.0.1' }));

  function choose(): void {
    const next = states.find(({ isUp }) => isUp);
    if (next === active) return;
    active = next;
    const mend = proxy.cut();
    if (next !== undefined) mend();
  }

  async function check(state: (typeof states)[number]): Promise<void> {
    while (!isClosed) {
      const startedAt = Date.now();
      const isUp = await isSynced(state.url.href, everyMs);
      state.against = isUp === state.isUp ? 0 : state.against + 1;
      if (state.against >= (isUp ? rise : fall)) {
        state.isUp = isUp;
        state.against = 0;
        choose();
      }
      await sleep(Math.max(0, startedAt + everyMs - Date.now()));
    }
  }

  const checking = Promise.all(states.map(check));
  const url = new URL(nodes[0]?.url ?? '');
  url.port = String(proxy.port);
  return {
    url: url.href,
    active: () => active?.name ?? null,
    async close() {
      isClosed = true;
      await checking;
      await proxy.close();
    },
  };
}
