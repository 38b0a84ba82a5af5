import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { createRecorder } from '../../src/core/recorder.js';
import { connect } from '../../src/db/connect.js';
import { optOutOf } from './core.js';

// What Signoff must never be, so that a test can show that it would be seen: a server that says yes, and
// records a moment later. It listens and tells its port as the service does. Arguments: database, list id.
const [url = '', listId = ''] = process.argv.slice(2);
const db = connect(url, { timeoutMs: 5000, poolSize: 2 });
const recorder = createRecorder(db, { queueRows: 10_000, timeoutMs: 5000, onCommit: () => undefined });

const server = createServer((request, response) => {
  let text = `${request.url} `;
  request.on('data', (chunk: Buffer) => (text += chunk.toString()));
  request.on('end', () => {
    const [, email = ''] = /email=([^&\s]+)/.exec(text) ?? [];
    setTimeout(() => void recorder.record([optOutOf(Number(listId), decodeURIComponent(email))]), 300);
    response.end('yes');
  });
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`${JSON.stringify({ level: 'info', port, host: '127.0.0.1', msg: 'listening' })}\n`);
});
