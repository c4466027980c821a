/**
 * A process that writes rows one after the other and tells which were acknowledged and when. It never cancels a
 * statement (a cancelled wait for a replica returns success): it drops the connection and makes a new one.
 * Runs on the host or, bundled, in a pod. SIGTERM ends it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { SETTINGS_VARIABLE, type WriterLine, type WriterSettings } from './settings.ts';

const FLUSH_MS = 50;
/** Between two attempts to connect: enough to keep the machine usable, little beside an outage. */
const RETRY_MS = 5;

const settings = JSON.parse(process.env[SETTINGS_VARIABLE] ?? 'null') as WriterSettings;
let stopping = false;
process.once('SIGTERM', () => {
  stopping = true;
});
process.once('SIGINT', () => {
  stopping = true;
});

// Whoever listened is gone, and with him the reason to write.
process.stdout.on('error', () => process.exit(1));

const now = (): number => performance.timeOrigin + performance.now();
const tell = (line: WriterLine): void => {
  process.stdout.write(`${JSON.stringify(line)}\n`);
};

let acks: [number, number][] = [];
function flush(): void {
  if (acks.length === 0) return;
  tell({ event: 'acks', acks });
  acks = [];
}
const flushing = setInterval(flush, FLUSH_MS);

let nextId = 1;
let lastError = '';
let failing = false;

function failed(id: number, error: unknown): void {
  flush();
  const message = (error as Error).message;
  // Of a row of equal failures only the first one says something.
  if (!failing || message !== lastError) tell({ event: 'lost', at: now(), id, error: message });
  failing = true;
  lastError = message;
}

function acknowledged(id: number): void {
  failing = false;
  acks.push([id, Math.round(now() * 100) / 100]);
}

tell({ event: 'start', at: now() });
while (!stopping) {
  try {
    await session();
  } catch (error) {
    failed(nextId, error);
    await sleep(settings.retryMs ?? RETRY_MS);
  }
}
clearInterval(flushing);
flush();
tell({ event: 'end', at: now(), attempts: nextId - 1 });
process.exit(0);

interface Connection {
  client: pg.Client;
  /** Set once it is broken. */
  error?: Error;
  /** The last warning 01000. */
  notice: string;
}

/** One connection, for as long as it serves. */
async function session(): Promise<void> {
  const hosts = settings.host.split(',');
  const connection = hosts.length > 1 ? await firstPrimary(hosts) : await connect(settings.host);
  const { client } = connection;
  try {
    const known = await within(
      client.query(`SELECT coalesce(max(id), 0) AS last FROM ${settings.table}`),
      settings.timeoutMs,
    );
    nextId = Math.max(nextId, Number((known.rows[0] as { last: string }).last) + 1);
    while (!stopping) {
      if (connection.error) throw connection.error;
      const started = performance.now();
      connection.notice = '';
      if (settings.pipeline > 0) await writeMany(client, settings.pipeline, () => connection.notice);
      else await writeOne(client, nextId++, () => connection.notice);
      await sleep(Math.max(0, settings.paceMs - (performance.now() - started)));
    }
  } finally {
    drop(client);
  }
}

async function connect(host: string): Promise<Connection> {
  const client = new pg.Client({
    host,
    port: settings.port,
    user: settings.user,
    password: settings.password,
    database: settings.database,
    ssl: settings.ca ? { ca: settings.ca, servername: settings.serverName } : false,
    connectionTimeoutMillis: settings.timeoutMs,
    application_name: 'writer',
    ...(settings.pipeline > 0 ? { pipeline: true } : {}),
  } as pg.ClientConfig);
  const connection: Connection = { client, notice: '' };
  client.on('error', (error) => {
    connection.error = error;
  });
  client.on('notice', (message) => {
    if (message.code === '01000') connection.notice = message.message ?? 'warning 01000';
  });
  try {
    await within(client.connect(), settings.timeoutMs);
  } catch (error) {
    drop(client);
    throw error;
  }
  return connection;
}

/** Asks all hosts at once, so that finding the primary costs nothing beside an outage. */
async function firstPrimary(hosts: string[]): Promise<Connection> {
  let chosen: Connection | undefined;
  const tries = hosts.map(async (host) => {
    const connection = await connect(host);
    try {
      const { rows } = await within(
        connection.client.query('SELECT pg_is_in_recovery() AS standby'),
        settings.timeoutMs,
      );
      if ((rows[0] as { standby: boolean }).standby) throw new Error(`${host} is a standby`);
    } catch (error) {
      drop(connection.client);
      throw error;
    }
    if (chosen) drop(connection.client);
    chosen ??= connection;
    return chosen;
  });
  try {
    return await Promise.any(tries);
  } catch (error) {
    throw (error as AggregateError).errors[0];
  }
}

async function writeOne(client: pg.Client, id: number, notice: () => string): Promise<void> {
  await within(client.query(`INSERT INTO ${settings.table} (id) VALUES ($1)`, [id]), settings.timeoutMs);
  settle(id, notice());
}

/** Sends all before it reads the first answer; what was not answered in time is not acknowledged. */
async function writeMany(client: pg.Client, count: number, notice: () => string): Promise<void> {
  const answers: Promise<void>[] = [];
  for (let i = 0; i < count; i++) {
    const id = nextId++;
    answers.push(
      client.query(`INSERT INTO ${settings.table} (id) VALUES ($1)`, [id]).then(() => settle(id, notice())),
    );
  }
  const results = Promise.allSettled(answers);
  const outcomes = await within(results, settings.timeoutMs);
  const bad = outcomes.find((each) => each.status === 'rejected');
  if (bad) throw bad.reason;
}

function settle(id: number, notice: string): void {
  if (notice === '') acknowledged(id);
  else tell({ event: 'warned', at: now(), id, notice });
}

/** The promise, or an error once the time is up. */
async function within<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    // The loser's failure, if it comes, has nobody left to tell.
    work.catch(() => {});
  }
}

/** Closes the socket at once: neither a cancel request nor a farewell is sent. */
function drop(client: pg.Client): void {
  const { stream } = (client as unknown as { connection: { stream: { destroy(): void } } }).connection;
  stream.destroy();
}
