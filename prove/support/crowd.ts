import { connect, type Socket } from 'node:net';
import process from 'node:process';

/**
 * A crowd of clients as a process of its own, for prove/overload.ts: it costs a request so little that it is never
 * what is in the way. Its one argument is an `Order`, as JSON; what it has seen comes out as one line of JSON (`Seen`).
 */
export interface Order {
  readonly port: number;
  /** Connections, kept alive, of one request at a time each. */
  readonly connections: number;
  readonly seconds: number;
  /** Null: a next request on each answer. */
  readonly overload: Overload | null;
  /** In turns. */
  readonly ways: readonly RawWay[];
  /** The first request's number. */
  readonly from: number;
}

/** Requests are begun at a rate, whatever becomes of those before. */
export interface Overload {
  /** The most that has been seen to be taken in a second. */
  readonly most: number;
  /** So many times as many are sent. */
  readonly times: number;
}

/** A request's octets, in which each `NUMBER` is to be its number, in seven digits. */
export interface RawWay {
  readonly octets: string;
  /** What an answer of status 2xx has to hold to count as a yes. */
  readonly yes: string;
  /** What one has to hold that is a "not now" in spite of its status 200; null where only a 503 is one. */
  readonly notNow: string | null;
}

export interface Seen {
  readonly sent: number;
  readonly taken: Times;
  /** Those answered 503, or in the vendor's own word for it, with `Retry-After`. */
  readonly refused: Times;
  /** All else: other answers, and connections that broke. */
  readonly others: Readonly<Record<string, number>>;
  /** Of the requests that were taken, by number: a bit each, from `from` on, in base64. */
  readonly takenBits: string;
  /** Were due, and found no connection free. */
  readonly unsent: number;
  /** From the end of sending to the last answer: milliseconds. */
  readonly tailMs: number;
  /** By how much the crowd itself was late at most, and its share of a core. */
  readonly lateMs: number;
  readonly cpu: number;
}

/** From when a request was due to the last octet of its answer: milliseconds. */
export interface Times {
  readonly count: number;
  readonly median: number;
  readonly p99: number;
  readonly max: number;
}

interface Client {
  socket: Socket;
  /** Of the request under way; -1 for none. */
  number: number;
  dueAt: number;
  way: RawWay | null;
  text: string;
}

const order = JSON.parse(process.argv[2] ?? '') as Order;
const ways = order.ways.map((way) => ({ ...way, parts: way.octets.split('NUMBER') }));
const taken: number[] = [];
const refused: number[] = [];
const others: Record<string, number> = {};
const bits: number[] = [];
const idle: Client[] = [];
let unsent = 0;
let sent = 0;
let underWay = 0;
let opened = 0;
let isOver = false;
let whenDone: () => void = () => undefined;
let lateMs = 0;

const startedAt = performance.now();
const cpuBefore = process.cpuUsage();
await (order.overload === null ? sendInTurn() : sendAt(order.overload));
const endedAt = performance.now();
isOver = true;
await new Promise<void>((resolve) => {
  whenDone = resolve;
  checkDone();
});
const { user, system } = process.cpuUsage(cpuBefore);
const seen: Seen = {
  ...{ sent, taken: timesOf(taken), refused: timesOf(refused), others, unsent },
  takenBits: Buffer.from(bits).toString('base64'),
  ...{ tailMs: performance.now() - endedAt, lateMs },
  cpu: (user + system) / 1000 / (performance.now() - startedAt),
};
process.stdout.write(`${JSON.stringify(seen)}\n`, () => process.exit());

/** With no time to go on, that is one from each. */
async function sendInTurn(): Promise<void> {
  for (let n = 0; n < order.connections; n++) open(performance.now());
  await new Promise((resolve) => setTimeout(resolve, order.seconds * 1000));
}

async function sendAt({ most, times }: Overload): Promise<void> {
  let dueAt = startedAt;
  for (let now = startedAt; now - startedAt < order.seconds * 1000; now = performance.now()) {
    lateMs = Math.max(lateMs, now - dueAt);
    for (; dueAt <= now; dueAt += 1000 / (most * times)) {
      const client = idle.pop();
      if (client !== undefined) begin(client, dueAt);
      else if (opened < order.connections) open(dueAt);
      else unsent++;
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function begin(client: Client, dueAt: number): void {
  const way = ways[sent % ways.length];
  if (way === undefined) throw new Error('no way');
  client.number = sent++;
  client.dueAt = dueAt;
  client.way = way;
  underWay++;
  client.socket.write(way.parts.join(String(order.from + client.number).padStart(7, '0')), 'latin1');
}

/** A new connection, and its first request. */
function open(dueAt: number): void {
  opened++;
  const socket = connect({ port: order.port, host: '127.0.0.1', noDelay: true }).setEncoding('latin1');
  const client: Client = { socket, number: -1, dueAt: 0, way: null, text: '' };
  begin(client, dueAt);
  socket.on('data', (chunk: string) => {
    client.text += chunk;
    const end = client.text.indexOf('\r\n\r\n');
    if (end === -1) return;
    const [, length = '0'] = /^content-length: (\d+)/im.exec(client.text) ?? [];
    if (client.text.length < end + 4 + Number(length)) return;
    answered(client, client.text);
    const isLast = /^connection: close\r$/im.test(client.text.slice(0, end + 2));
    client.text = '';
    if (isLast) socket.end();
    else if (!isOver && order.overload === null) begin(client, performance.now());
    else idle.push(client);
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    opened--;
    if (client.number !== -1) {
      count('broken');
      underWay--;
    }
    const place = idle.indexOf(client);
    if (place !== -1) idle.splice(place, 1);
    if (!isOver && order.overload === null) open(performance.now());
    checkDone();
  });
}

function answered(client: Client, text: string): void {
  if (client.number === -1) return;
  const { number, dueAt, way } = client;
  const ms = performance.now() - dueAt;
  const status = text.slice(9, 12);
  client.number = -1;
  underWay--;
  const isNotNow = status === '503' || (way?.notNow != null && text.includes(way.notNow));
  if (isNotNow && /^retry-after: \d+\r$/im.test(text)) refused.push(ms);
  else if (status.startsWith('2') && text.includes(way?.yes ?? '')) {
    taken.push(ms);
    while (bits.length <= number >> 3) bits.push(0);
    bits[number >> 3] = (bits[number >> 3] ?? 0) | (1 << (number & 7));
  } else count(status);
  checkDone();
}

function count(what: string): void {
  others[what] = (others[what] ?? 0) + 1;
}

function checkDone(): void {
  if (isOver && underWay === 0) whenDone();
}

function timesOf(times: number[]): Times {
  const sorted = Float64Array.from(times).sort();
  const at = (share: number) => Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
  return { count: sorted.length, median: at(0.5), p99: at(0.99), max: at(1) };
}
