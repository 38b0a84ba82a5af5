/**
 * What is measured against, each in a process of its own, as what is measured is:
 *
 *   http           bare node:http that reads the body and says ok
 *   express        an Express route that says ok
 *   form-groups    our own app, but what it records goes nowhere, and is answered in groups of 3 ms
 *   form-inserts   our own app, but each opt-out is an INSERT and a commit of its own
 */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import express from 'express';
import type * as App from '../../src/app.js';
import type * as Configuration from '../../src/config.js';
import type * as OptOuts from '../../src/core/opt-outs.js';
import type { Recorder } from '../../src/core/recorder.js';
import type * as Connect from '../../src/db/connect.js';
import type * as Log from '../../src/log.js';
import { projectPath } from '../../src/paths.js';
import type * as Services from '../../src/service.js';

const groupMs = 3;

const baselines: Record<string, () => Promise<RequestListener> | RequestListener> = {
  http: () => (req, res) => {
    req.resume();
    req.on('end', () => {
      res.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': 3 });
      res.end('ok\n');
    });
  },

  express: () => {
    const app = express();
    app.get('/l/:id', (_req, res) => {
      res.send('ok');
    });
    return app;
  },

  'form-groups': () => {
    const group: (() => void)[] = [];
    setInterval(() => {
      for (const answer of group.splice(0)) answer();
    }, groupMs);
    return appThatRecords(() => () => new Promise((resolve) => group.push(resolve)));
  },

  'form-inserts': async () => {
    const { columns, rowOf } = await built<typeof OptOuts>('core/opt-outs');
    const sql = `INSERT INTO opt_outs (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(',')})`;
    const { retrying } = await built<typeof Connect>('db/connect');
    return appThatRecords((db) => async (optOuts) => {
      for (const row of optOuts.map(rowOf)) await retrying(db, 5000, () => db.raw(sql, [...row] as string[]));
    });
  },
};

/** The app of a service of its own on DATABASE_URL, which records as it is told. */
async function appThatRecords(recordOn: (db: Connect.Db) => Recorder['record']): Promise<RequestListener> {
  const { readConfig } = await built<typeof Configuration>('config');
  const { createLog } = await built<typeof Log>('log');
  const { startService } = await built<typeof Services>('service');
  const { createApp } = await built<typeof App>('app');
  const { deps } = await startService(readConfig({ ...process.env, PORT: '0' }), createLog('silent'));
  const recorder: Recorder = { ...deps.recorder, record: recordOn(deps.db) };
  return createApp({ ...deps, recorder });
}

/** As `npm run build` has made it: what runs a program from its source adds calls of its own to each function. */
function built<Module>(name: string): Promise<Module> {
  return import(
    pathToFileURL(projectPath('dist', 'src', ...`${name}.js`.split('/'))).href
  ) as Promise<Module>;
}

const [, , name = ''] = process.argv;
const make = baselines[name];
if (make === undefined) throw new Error(`there is no baseline ${name}`);
const server = createServer(await make());
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port, msg: 'listening' }));
});
process.on('SIGTERM', () => process.exit(0));
