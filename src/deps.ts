import type { ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { Config } from './config.js';
import type { AttackRule } from './core/attack-rule.js';
import type { OpenLink } from './core/link-opener.js';
import type { FindList } from './core/list-cache.js';
import type { Recorder } from './core/recorder.js';
import type { Db } from './db/connect.js';
import type { Trust } from './http/client-address.js';
import type { Entrance } from './http/entrance.js';
import type { Metrics } from './http/metrics.js';
import type { Scrape } from './http/scrape.js';
import type { Keeper } from './keeper/keeper.js';

/** What every door is given, once. */
export interface Deps {
  readonly config: Config;
  /** Origin of every absolute URL that is given out; never the request's Host. */
  readonly baseUrl: string;
  readonly db: Db;
  readonly entrance: Entrance;
  readonly recorder: Recorder;
  readonly attackRule: AttackRule;
  readonly keeper: Keeper;
  readonly findList: FindList;
  readonly openLink: OpenLink;
  /** The installation's secret. */
  readonly secret: string;
  readonly trust: Trust;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Null where nobody may ask for metrics: neither METRICS_TOKEN nor METRICS_BIND is set. */
  readonly scrape: Scrape | null;
  readonly state: ServiceState;
}

/** What changes while the service runs. */
export interface ServiceState {
  isStopping: boolean;
  /** Downloads under way: what is left of them when the service stops is reset, never ended. */
  readonly downloads: Set<ServerResponse>;
  /** Scrubs under way, likewise, with whose they are: a mailer's id, or `user:<id>`. */
  readonly scrubs: Map<ServerResponse, number | string>;
  /** When a forwarding header last came from a peer that TRUST_PROXY does not name: UTC milliseconds. */
  forwardedByStrangerAt: number | null;
}
