/** Full backups, restores and the archiving of WAL through pgherd, over pgBackRest without it, with the same options. */
import { execFile } from 'node:child_process';
import { loadavg } from 'node:os';
import { promisify } from 'node:util';
import { accessInside } from '@pgherd/cli/access';
import { Stage, startLocalWorld, type World } from '@pgherd/e2e';
import { type Pgbench, startPgbench } from '@pgherd/e2e/pgbench-pod';
import type { Measurement, MeasurementOptions } from '../measurement.ts';
import { makeNamespace, settingsOf } from '../plain-pod.ts';
import { type Archiving, measureArchiving } from './archiving.ts';
import { Bare, type Command } from './bare.ts';
import { backUp, configsOf, removeCluster, restore, restoreOptions, SPEC } from './pgherd.ts';
import { type Found, outcome } from './table.ts';

const exec = promisify(execFile);
const RUNS = 6;
const SECONDS = 60;
const SCALE = 50;
const NAMESPACE = 'bench';
const LOAD_MS = 300_000;
const LOAD = ['-n', '-N', '-c', '8', '-j', '2', '-M', 'prepared'];

export const backup: Measurement = async ({ runs = RUNS, seconds = SECONDS, scale = SCALE, say }) => {
  const load = loadavg()[0] ?? 0;
  say('Starting local mode, a cluster of one instance with a repository, and pgBackRest without pgherd');
  const world = await startLocalWorld('bench');
  try {
    const place = await prepare(world, scale, say);
    const nothing = (): Found => ({
      backups: [],
      bareBackups: [],
      restores: [],
      bareRestores: [],
      archiving: {},
    });
    // Memory and disk that nobody has touched before cost the first one more: that run does not count.
    await oneRun(place, nothing(), 0, say);
    const found = nothing();
    for (let run = 1; run <= runs; run++) await oneRun(place, found, run, say);
    for (const [name, server] of [
      ['bare', place.bareServer],
      ['pgherd', place.server],
    ] as const) {
      say(`Archiving WAL for ${seconds} s of pgbench, ${name}`);
      found.archiving[name] = await measureArchiving(server, seconds);
    }
    return outcome(found, { runs, seconds, scale, load, bytes: place.bytes });
  } finally {
    await world.stop();
  }
};

interface Place {
  stage: Stage;
  restored(run: number): Stage;
  bare: Bare;
  server: Archiving;
  bareServer: Archiving;
  /** The options of restores, as arguments. */
  restoreOptions: string;
  /** Size of the database. */
  bytes: number;
}

async function prepare(world: World, scale: number, say: MeasurementOptions['say']): Promise<Place> {
  await makeNamespace(world, NAMESPACE);
  const stage = new Stage(world, NAMESPACE);
  const parameters = { shared_buffers: '256MB', max_wal_size: '4GB' };
  await stage.createCluster({ ...SPEC, postgresql: { parameters } });
  const bare = new Bare({
    world,
    namespace: NAMESPACE,
    settings: await settingsOf(stage),
    configs: await configsOf(stage),
  });
  await bare.start();
  const pgbench = await startPgbench(stage);
  const { port } = await accessInside(world.client, NAMESPACE, stage.cluster);
  const at: Record<string, string[]> = {
    pgherd: [],
    bare: ['-h', `bare.${NAMESPACE}.svc`, '-p', String(port), '-U', 'app', 'app'],
  };
  say(`Loading pgbench, scale ${scale}`);
  for (const where of Object.values(at))
    await run(pgbench, ['-i', '-q', '-s', String(scale), ...where], LOAD_MS);
  const server = (sql: Archiving['sql'], where: string[]): Archiving => ({
    sql,
    load: async (seconds) => {
      const args = [...LOAD, '-T', String(seconds), ...where];
      return Number(/tps = ([\d.]+)/.exec(await run(pgbench, args, seconds * 1000 + LOAD_MS))?.[1]);
    },
  });
  return {
    stage,
    restored: (each) => new Stage(world, NAMESPACE, `r${each}`),
    bare,
    server: server((query) => stage.sql(query), at.pgherd ?? []),
    bareServer: server((query) => bare.sql(query), at.bare ?? []),
    restoreOptions: '',
    bytes: Number(await stage.sql('SELECT sum(pg_database_size(oid)) FROM pg_database')),
  };
}

async function run(pgbench: Pgbench, args: string[], timeoutMs: number): Promise<string> {
  const { code, stdout, stderr } = await pgbench(args, timeoutMs);
  if (code !== 0) throw new Error(`pgbench ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** Each of the four once; who goes first changes from run to run. */
async function oneRun(place: Place, found: Found, number: number, say: MeasurementOptions['say']) {
  const { stage, bare } = place;
  const restored = place.restored(number);
  const oursFirst = number % 2 === 0;
  const backups = await inTurn(
    oursFirst,
    async () => {
      await place.server.sql('CHECKPOINT');
      return backUp(stage, `full-${number}`);
    },
    async () => {
      await place.bareServer.sql('CHECKPOINT');
      return bare.backUp();
    },
  );
  found.backups.push(backups.ours);
  found.bareBackups.push(backups.bare);
  say(`run ${number}, backup: pgherd ${text(backups.ours)}, without pgherd ${text(backups.bare)}`);
  const restores = await inTurn(
    oursFirst,
    async () => {
      const result = await restore(stage, restored);
      place.restoreOptions = await restoreOptions(restored);
      await removeCluster(restored);
      return result;
    },
    // Run 0 is ours first: it says which options it uses.
    () => bare.restore(place.restoreOptions),
  );
  found.restores.push(restores.ours);
  found.bareRestores.push(restores.bare);
  say(`run ${number}, restore: pgherd ${text(restores.ours)}, without pgherd ${text(restores.bare)}`);
}

async function inTurn<A, B>(
  oursFirst: boolean,
  ours: () => Promise<A>,
  bare: () => Promise<B>,
): Promise<{ ours: A; bare: B }> {
  // What one has written is not to be flushed while the other is measured.
  const flushed = async <T>(work: () => Promise<T>): Promise<T> => {
    await exec('sync');
    return work();
  };
  if (oursFirst) return { ours: await flushed(ours), bare: await flushed(bare) };
  const first = await flushed(bare);
  return { ours: await flushed(ours), bare: first };
}

function text({ ownMs, wholeMs }: Command): string {
  return `${(wholeMs / 1000).toFixed(2)} s (pgBackRest ${(ownMs / 1000).toFixed(2)} s)`;
}
