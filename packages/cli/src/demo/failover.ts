/** The heart of the demo: a writer, a kill, and what can be seen of the failover, with its times. */
import { LABEL_INSTANCE, names, readLease } from '@pgherd/api';
import { type Client, kinds, type Pod } from '@pgherd/kube';
import type { Access } from '../access.ts';
import { getCluster, isReady, leaseRecord, primaryName } from '../clusters.ts';
import { CliError } from '../errors.ts';
import { paint, print } from '../output.ts';
import { killPod } from '../pod-processes.ts';
import { waitFor } from '../wait.ts';
import type { WriterLine } from '../writer/settings.ts';
import { startWriter } from '../writer/start.ts';
import { connect } from './load.ts';

const TABLE = 'pgherd_demo_writes';
const WARM_UP_WRITES = 300;
const AFTERWARDS_WRITES = 300;
const FAILOVER_MS = 60_000;

export interface FailoverOptions {
  client: Client;
  namespace: string;
  name: string;
  access: Access;
}

export interface FailoverResult {
  outageMs: number;
  acknowledged: number;
  missing: number[];
}

/** Runs the writer, kills everything in the primary's pod, and tells what happens as it happens. */
export async function showFailover(options: FailoverOptions): Promise<FailoverResult> {
  const { client, namespace, name, access } = options;
  await makeTable(access);
  const [cluster, lease] = await Promise.all([
    getCluster(client, namespace, name),
    leaseRecord(client, namespace, name),
  ]);
  const primary = primaryName(cluster, lease);
  if (!primary) throw new CliError('failed', `Cluster ${name} has no primary to kill.`);
  const pod = await client.get(kinds.Pod, { namespace, name: primary });
  const writer = await startWriter({ ...access, table: TABLE, paceMs: 5, timeoutMs: 300, pipeline: 0 });
  const { recording } = writer;
  try {
    await waitFor(async () => recording.acknowledged >= WARM_UP_WRITES, {
      timeoutMs: 30_000,
      everyMs: 20,
      describe: () =>
        `the writer: ${recording.lost.at(-1)?.error ?? `${recording.acknowledged} writes acknowledged`}`,
    });
    print();
    print(
      `A writer inserts a row every 5 ms; ${recording.acknowledged} are acknowledged. The primary is ${primary}.`,
    );
    const killedAt = now();
    const count = killPod(pod.metadata.uid ?? '');
    if (count === 0) throw new CliError('failed', `No process of pod ${primary} was found on this machine.`);
    const tell = teller(killedAt);
    tell(paint('red', `SIGKILL to all ${count} processes of pod ${primary}`), killedAt);
    const watching = new AbortController();
    const watches = watchFailover(options, pod, tell, watching.signal);
    const unhook = recording.onLine((line) => tellWrites(line, killedAt, tell));
    await waitFor(async () => acknowledgedAfterOutage(recording.times, killedAt) >= AFTERWARDS_WRITES, {
      timeoutMs: FAILOVER_MS,
      everyMs: 20,
      describe: () => `writes after the failover: ${recording.lost.at(-1)?.error ?? 'none yet'}`,
    });
    await waitFor(async () => isReady(await client.get(kinds.Pod, { namespace, name: primary })), {
      timeoutMs: FAILOVER_MS,
      everyMs: 100,
      describe: () => `pod ${primary} is not ready again`,
    });
    const rw = await client.get(kinds.Service, { namespace, name: `${name}-rw` });
    const leads = rw.spec?.selector?.[LABEL_INSTANCE] === primary;
    tell(paint('green', `${primary} is back, as ${leads ? 'the primary' : 'a replica'}`));
    unhook();
    watching.abort();
    await watches;
    await writer.stop();
    const outageMs = recording.longestOutage(killedAt).ms;
    const missing = recording.missing(await idsThere(access));
    return { outageMs, acknowledged: recording.acknowledged, missing };
  } finally {
    await writer.stop();
  }
}

type Tell = (text: string, at?: number) => void;

const now = (): number => performance.timeOrigin + performance.now();

function teller(start: number): Tell {
  return (text, at = now()) => print(`  ${`+${((at - start) / 1000).toFixed(2)} s`.padStart(9)}  ${text}`);
}

/** How many of these acknowledgements came after the pause that follows `since`. */
function acknowledgedAfterOutage(times: number[], since: number): number {
  let first = -1;
  for (let i = times.length - 1; i > 0 && (times[i] as number) > since; i--) {
    if ((times[i] as number) - (times[i - 1] as number) > 100) first = i;
  }
  return first < 0 ? 0 : times.length - first;
}

/** Tells when writes stop and when they go on. */
const tellWrites = (() => {
  let stopped = false;
  return (line: WriterLine, killedAt: number, tell: Tell): void => {
    if (line.event === 'lost' && !stopped && line.at >= killedAt) {
      stopped = true;
      tell(`the writer loses its connection: ${line.error}`, line.at);
    }
    if (line.event === 'acks' && stopped) {
      stopped = false;
      const [id, at] = line.acks[0] as [number, number];
      tell(paint('green', `write ${id} is acknowledged: writes go on`), at);
    }
  };
})();

/** Tells of each step as the API shows it. Ends with the signal. */
async function watchFailover(
  { client, namespace, name }: FailoverOptions,
  dead: Pod,
  tell: Tell,
  signal: AbortSignal,
): Promise<void> {
  const { lease, rw } = names(name);
  let holder: string | undefined;
  let route: string | undefined;
  await Promise.all([
    follow(async () => {
      for await (const { type, object } of client.watch(kinds.Lease, only(namespace, lease, signal))) {
        if (type === 'DELETED' || type === 'BOOKMARK') continue;
        const record = readLease(object as Parameters<typeof readLease>[0]);
        const said = record.holder
          ? `${record.leader?.name} holds the Lease (epoch ${record.epoch})`
          : 'the Lease is free';
        if (holder !== undefined && said !== holder) tell(said);
        holder = said;
      }
    }, signal),
    follow(async () => {
      for await (const { type, object } of client.watch(kinds.Service, only(namespace, rw, signal))) {
        if (type === 'DELETED' || type === 'BOOKMARK') continue;
        const target = object.spec?.selector?.['pgherd.io/instance'];
        if (route !== undefined && target !== route) tell(`service ${rw} points to ${target}`);
        route = target;
      }
    }, signal),
    follow(async () => {
      const restarts = dead.status?.containerStatuses?.[0]?.restartCount ?? 0;
      for await (const { object } of client.watch(kinds.Pod, only(namespace, dead.metadata.name, signal))) {
        if ((object.status?.containerStatuses?.[0]?.restartCount ?? 0) <= restarts) continue;
        tell(`the kubelet has started the container of ${dead.metadata.name} again`);
        break;
      }
    }, signal),
  ]);
}

function only(namespace: string, name: string, signal: AbortSignal) {
  return { namespace, fieldSelector: `metadata.name=${name}`, signal };
}

/** What ends with the signal has not failed; and a broken watch only means that less is told. */
async function follow(work: () => Promise<void>, signal: AbortSignal): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!signal.aborted) print(`  (no longer watching: ${(error as Error).message})`);
  }
}

async function makeTable(access: Access): Promise<void> {
  const client = await connect(access);
  try {
    await client.query(
      `CREATE TABLE IF NOT EXISTS ${TABLE} (id bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp())`,
    );
    await client.query(`TRUNCATE ${TABLE}`);
  } finally {
    await client.end();
  }
}

async function idsThere(access: Access): Promise<number[]> {
  const client = await connect(access);
  try {
    const { rows } = await client.query(`SELECT id FROM ${TABLE}`);
    return rows.map((row: { id: string }) => Number(row.id));
  } finally {
    await client.end();
  }
}
