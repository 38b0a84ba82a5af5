import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { createRecorder } from '../../src/core/recorder.js';
import { connect } from '../../src/db/connect.js';
import { optOutOf } from './core.js';

// What Signoff must never be, so that a power cut can be seen to cost something: it records, commits and then
// answers, on a SQLite database whose commits are not flushed. Arguments: database, list id.
const [url = '', listId = ''] = process.argv.slice(2);
const db = connect(url, { timeoutMs: 5000, poolSize: 1 });
await db.raw('PRAGMA synchronous = NORMAL');
const recorder = createRecorder(db, { queueRows: 10_000, timeoutMs: 5000, onCommit: () => undefined });

const server = createServer((request, response) => {
  let text = `${request.url} `;
  request.on('data', (chunk: Buffer) => (text += chunk.toString()));
  request.on('end', () => {
    const [, email = ''] = /email=([^&\s]+)/.exec(text) ?? [];
    const answer = () => void response.end('yes');
    const refuse = () => void response.writeHead(503).end();
    recorder.record([optOutOf(Number(listId), decodeURIComponent(email))]).then(answer, refuse);
  });
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`${JSON.stringify({ level: 'info', port, host: '127.0.0.1', msg: 'listening' })}\n`);
});
