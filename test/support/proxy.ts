import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';

/** Stands between a client and a server, and can do to them what networks do. */
export interface Proxy {
  readonly port: number;
  /** Breaks every connection, and takes none, until it is told to mend. */
  cut(): () => void;
  /**
   * Passes nothing on any more, and closes nothing: connections are half open, and those that are made
   * meanwhile as well. After it was told to mend, new connections work; the old ones stay mute.
   */
  mute(): () => void;
  close(): Promise<void>;
}

/** @param target where it passes connections on to; asked for each. */
export async function startProxy(target: () => { port: number; hostname: string }): Promise<Proxy> {
  const open = new Set<Socket>();
  const pairs = new Set<readonly [Socket, Socket]>();
  let isCut = false;
  let isMute = false;
  const server = createServer((near) => {
    if (isCut) return void near.resetAndDestroy();
    open.add(near);
    near.on('error', () => undefined).on('close', () => open.delete(near));
    if (isMute) return void near.pause();
    const { port, hostname } = target();
    const far = connect(port, hostname);
    const pair = [near, far] as const;
    open.add(far);
    pairs.add(pair);
    far.on('error', () => undefined).on('close', () => open.delete(far));
    // A mute one tells neither side of the other's end.
    near.on('close', () => pairs.delete(pair) && far.destroy()).pipe(far);
    far.on('close', () => pairs.delete(pair) && near.destroy()).pipe(near);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      isCut = true;
      for (const socket of open) socket.resetAndDestroy();
      return () => (isCut = false);
    },
    mute() {
      isMute = true;
      for (const [near, far] of pairs) {
        near.unpipe(far).pause();
        far.unpipe(near).pause();
      }
      pairs.clear();
      return () => (isMute = false);
    },
    close: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
