import type { ServerResponse } from 'node:http';

/**
 * Ends an answer that is not whole so that nobody takes it for whole: the connection is reset. To a client
 * that knows chunks, the missing last one tells; to an HTTP/1.0 client, a connection closed in order is the
 * end of the file.
 *
 * Not by resetAndDestroy alone: it first shuts the connection down behind what still waits to be written,
 * and libuv resets none that is being shut down. The property is what that method sets for `destroy`.
 */
export function cutOff(res: ServerResponse): void {
  const { socket } = res;
  if (socket === null || socket.destroyed) return;
  Object.assign(socket, { resetAndClosing: true });
  socket.destroy();
}

/** A client that takes nothing for so long is cut off: milliseconds. */
const stallMs = 120_000;

/** Only while something waits to be taken: our own silence is not the client's fault. */
export function cutOffWhenStalled(res: ServerResponse): void {
  res.setTimeout(stallMs, () => {
    if (res.writableLength + (res.socket?.writableLength ?? 0) > 0) cutOff(res);
    else res.setTimeout(stallMs);
  });
}
