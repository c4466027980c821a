/**
 * The clients of a chaos run, one process with many sessions: writers and readers through -rw, and writers that are
 * bound to an instance each and never give a session up. Ends with its standard input.
 */
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ack, Read } from '../history.ts';
import { type Addresses, type ClientLine, type ClientSettings, SETTINGS_VARIABLE } from './protocol.ts';
import { drop, open, type Session, within } from './session.ts';

const FLUSH_MS = 100;
const RETRY_MS = 20;
/** Clients through -rw give a session up after this. */
const TIMEOUT_MS = 1_000;
/** Those that are bound to an instance wait this long: longer than any fault. */
const PATIENCE_MS = 60_000;
const READ_PACE_MS = 50;
const BOUND_PACE_MS = 30;

const settings = JSON.parse(process.env[SETTINGS_VARIABLE] ?? 'null') as ClientSettings;
const now = (): number => performance.timeOrigin + performance.now();

let acks: Ack[] = [];
let reads: Read[] = [];
let warned = 0;
let errors: Record<string, number> = {};
let stopping = false;

function tell(line: ClientLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function flush(): void {
  if (acks.length + reads.length + warned + Object.keys(errors).length === 0) return;
  tell({ event: 'batch', acks, reads, warned, errors });
  acks = [];
  reads = [];
  warned = 0;
  errors = {};
}

function failed(error: unknown): void {
  const { message } = error as Error;
  errors[message] = (errors[message] ?? 0) + 1;
}

/** Opens sessions one after the other and works with each until it fails. */
async function keepAt(
  connect: () => Promise<Session>,
  work: (session: Session) => Promise<void>,
  onError: (error: unknown) => void,
  wanted: () => boolean = () => true,
): Promise<void> {
  while (!stopping && wanted()) {
    let session: Session | undefined;
    try {
      session = await connect();
      while (!stopping && wanted()) {
        if (session.broken) throw session.broken;
        session.notice = false;
        await work(session);
      }
    } catch (error) {
      onError(error);
      await sleep(RETRY_MS);
    } finally {
      if (session) drop(session);
    }
  }
}

/** Inserts one row, and tells that it was acknowledged, and on which timeline. */
async function insert(
  session: Session,
  table: string,
  about: Pick<Ack, 'client' | 'id' | 'address'>,
): Promise<void> {
  const sentAt = now();
  const { rows } = await session.client.query(
    `INSERT INTO ${table} (id) VALUES ($1) RETURNING substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS timeline`,
    [about.id],
  );
  const [row] = rows as { timeline: string }[];
  if (session.notice) warned += 1;
  else acks.push({ ...about, sentAt, ackAt: now(), timeline: Number.parseInt(row?.timeline ?? '0', 16) });
}

function writer({ name, paceMs, pipeline }: ClientSettings['writers'][number]): Promise<void> {
  let next = 1;
  return keepAt(
    () => open(settings, settings.host, name, { timeoutMs: TIMEOUT_MS, pipeline: pipeline > 0 }),
    async (session) => {
      const burst = Array.from({ length: Math.max(1, pipeline) }, () =>
        insert(session, name, { client: name, id: next++ }),
      );
      // Each is heard on its own: what was acknowledged counts, whatever became of the others.
      const results = await within(Promise.allSettled(burst), TIMEOUT_MS);
      const bad = results.find((each) => each.status === 'rejected');
      if (bad) throw bad.reason;
      await sleep(paceMs);
    },
    failed,
  );
}

/** Reads the highest id of each writer's table in turn. */
function reader(number: number): Promise<void> {
  const tables = settings.writers.map((each) => each.name);
  let turn = number;
  return keepAt(
    () => open(settings, settings.host, `reader${number}`, { timeoutMs: TIMEOUT_MS }),
    async ({ client: connection }) => {
      const client = tables[turn++ % tables.length] as string;
      const sentAt = now();
      const { rows } = await within(
        connection.query(`SELECT coalesce(max(id), 0) AS highest FROM ${client}`),
        TIMEOUT_MS,
      );
      reads.push({ client, sentAt, gotAt: now(), highest: Number((rows[0] as { highest: string }).highest) });
      await sleep(READ_PACE_MS);
    },
    failed,
  );
}

let boundId = 1;
const bound = new Map<string, { wanted: boolean }>();

/** Writes to one address for as long as an instance has it, whenever that instance takes writes. */
function boundWriter(address: string, state: { wanted: boolean }): Promise<void> {
  return keepAt(
    async () => {
      const session = await open(settings, address, 'bound', { timeoutMs: TIMEOUT_MS });
      const { rows } = await within(
        session.client.query('SELECT pg_is_in_recovery() AS standby'),
        TIMEOUT_MS,
      ).catch((error: Error) => {
        drop(session);
        throw error;
      });
      if (!(rows[0] as { standby: boolean }).standby) return session;
      drop(session);
      await sleep(200);
      throw new Error('a standby');
    },
    async (session) => {
      const { bound: table } = settings;
      await within(insert(session, table, { client: table, id: boundId++, address }), PATIENCE_MS);
      await sleep(BOUND_PACE_MS);
    },
    // Nobody expects an instance to take writes all the time.
    () => {},
    () => state.wanted,
  );
}

function follow({ addresses }: Addresses): void {
  for (const [address, state] of bound)
    if (!addresses.includes(address)) {
      state.wanted = false;
      bound.delete(address);
    }
  for (const address of addresses)
    if (!bound.has(address)) {
      const state = { wanted: true };
      bound.set(address, state);
      void boundWriter(address, state);
    }
}

process.stdout.on('error', () => process.exit(1));
setInterval(flush, FLUSH_MS);
tell({ event: 'ready' });
for (const each of settings.writers) void writer(each);
for (let i = 1; i <= settings.readers; i++) void reader(i);
createInterface({ input: process.stdin })
  .on('line', (line) => follow(JSON.parse(line) as Addresses))
  .once('close', () => {
    stopping = true;
    flush();
    process.exit(0);
  });
