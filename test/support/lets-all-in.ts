import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { createListener } from '../../src/app.js';
import { readConfig } from '../../src/config.js';
import { createLog } from '../../src/log.js';
import { startService } from '../../src/service.js';

// What Signoff must never be, so that a proof can show that it would be seen: the service without its entrance, which
// begins whatever comes. It listens, on a second port, and tells it as the service does.
const service = await startService(readConfig(process.env), createLog('silent'));
const listener = createListener({
  ...service.deps,
  entrance: { through: (answer) => answer, connected: () => undefined, waiting: () => 0 },
});
const server = createServer(listener);
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`${JSON.stringify({ level: 'info', port, host: '127.0.0.1', msg: 'listening' })}\n`);
});
