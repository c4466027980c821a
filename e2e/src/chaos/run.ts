/** A chaos run: clients that write and read, episodes of faults, and the checks after each. */
import { setTimeout as sleep } from 'node:timers/promises';
import { names } from '@pgherd/api';
import { waitFor } from '@pgherd/cli';
import { accessInside } from '@pgherd/cli/access';
import { kinds } from '@pgherd/kube';
import { node } from '@pgherd/local';
import { DISK_CLASS, Disks } from '../disks.ts';
import type { Undo } from '../faults.ts';
import type { Stage } from '../stage.ts';
import type { ClientSettings } from './clients/protocol.ts';
import { type RunningClients, startClients } from './clients/run.ts';
import { History } from './history.ts';
import { INSTANCES, inflict } from './inflict.ts';
import { MANY_CONNECTIONS } from './occupy.ts';
import type { ChaosOptions, ChaosResult } from './options.ts';
import { describe, type Episode, episodes, kindsFor, type PlannedFault } from './plan.ts';
import { Target } from './target.ts';

/** Nodes that a run needs: those of the instances, and one for the clients. */
export const NODES = INSTANCES + 1;
const DISK_MB = 1_024;
const LABEL = 'chaos/database';
const BOUND = 'bound';
const WRITERS: ClientSettings['writers'] = [
  { name: 'steady', paceMs: 20, pipeline: 0 },
  { name: 'slow', paceMs: 200, pipeline: 0 },
  { name: 'pipelining', paceMs: 50, pipeline: 20 },
];
const READERS = 2;
/** How many replicas stream and count as members. */
const FOLLOWERS =
  "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name !~ '[.]'";
/** From the end of the last fault until all is well. Generous: a copy may be part of it, on a busy machine. */
const RECOVER_MS = 180_000;
/** A primary that was cut off may serve reads this long (stopAfter, and what a busy machine adds). */
const STALE_MS = 8_000;

/** Runs to the end, or to the first violation. The stage has a world with NODES nodes and no cluster yet. */
export async function runChaos(stage: Stage, options: ChaosOptions): Promise<ChaosResult> {
  const run = new ChaosRun(stage, options);
  try {
    await run.prepare();
    await run.play();
  } catch (error) {
    run.violated((error as Error).message);
  } finally {
    await run.end();
  }
  return run.result();
}

class ChaosRun {
  private readonly stage: Stage;
  private readonly options: ChaosOptions;
  private readonly history = new History();
  private readonly target: Target;
  private readonly violations: string[] = [];
  private readonly recoveriesMs: number[] = [];
  private readonly counts: Record<string, number> = {};
  private clients: RunningClients | undefined;
  private played = 0;
  private lost = 0;
  private readonly started = performance.now();

  constructor(stage: Stage, options: ChaosOptions) {
    this.stage = stage;
    this.options = options;
    this.target = new Target(stage);
  }

  async prepare(): Promise<void> {
    const { client, namespace, cluster, world } = this.stage;
    const nodes = (await node.list({ state: world.state })).map(({ name }) => name);
    const apart = nodes.pop() ?? '';
    const body = { metadata: { labels: { [LABEL]: 'yes' } } };
    for (const name of nodes) await client.patch(kinds.Node, { name }, { type: 'merge', body });
    const { disks, backups } = this.options;
    if (disks) this.target.disks = await Disks.make(this.stage, DISK_MB, nodes);
    const synchronous = this.options.mode === 'sync' ? { synchronous: { method: 'any', number: 1 } } : {};
    await this.stage.createCluster({
      instances: INSTANCES,
      affinity: { nodeSelector: { [LABEL]: 'yes' } },
      ...(disks ? { storage: { size: `${DISK_MB}Mi`, storageClass: DISK_CLASS } } : {}),
      ...(backups ? { backup: { repositories: [{ name: 'local', volume: { size: '2Gi' } }] } } : {}),
      ...this.options.spec,
      postgresql: {
        parameters: {
          shared_buffers: '64MB',
          max_connections: String(MANY_CONNECTIONS + 150),
          max_wal_size: '128MB',
        },
        ...synchronous,
      },
    });
    const tables = [...WRITERS.map(({ name }) => name), BOUND];
    await this.stage.sql(
      tables
        .map((table) => `CREATE TABLE ${table} (id bigint PRIMARY KEY); GRANT ALL ON ${table} TO app;`)
        .join(' '),
    );
    const rw = await client.get(kinds.Service, { namespace, name: names(cluster).rw });
    const access = await accessInside(client, namespace, cluster);
    const settings = {
      ...access,
      host: rw.spec?.clusterIP ?? '',
      writers: WRITERS,
      readers: READERS,
      bound: BOUND,
    };
    this.clients = await startClients(world.state ?? '', apart, settings, this.history);
    this.target.watch((addresses) => this.clients?.follow(addresses));
    await this.progress();
  }

  async play(): Promise<void> {
    const { mode, disks = false, backups = false, seed } = this.options;
    const plan = episodes(seed, this.options.kinds ?? kindsFor({ mode, disks, backups }));
    const end = performance.now() + this.options.lastsMs;
    for (let i = 0; i < (this.options.skip ?? 0); i++) plan.next();
    while (performance.now() < end && this.violations.length === 0) await this.playOne(plan.next().value);
  }

  violated(what: string): void {
    this.violations.push(what);
    this.say(`VIOLATION ${what}`);
  }

  async end(): Promise<void> {
    this.target.end();
    await this.clients?.stop();
  }

  result(): ChaosResult {
    const { history } = this;
    return {
      seed: this.options.seed,
      episodes: this.played,
      faults: this.counts,
      acknowledged: history.acknowledged,
      reads: history.reads,
      lost: this.lost,
      staleReads: history.stale.length,
      worstStaleMs: Math.round(Math.max(0, ...history.stale.map((each) => each.byMs))),
      overlaps: history.overlaps.length,
      longestPauseMs: Math.round(Math.max(0, ...WRITERS.map(({ name }) => history.longestPause(name)))),
      recoveriesMs: this.recoveriesMs.map(Math.round),
      violations: this.violations,
    };
  }

  private say(text: string): void {
    this.options.say(`${((performance.now() - this.started) / 1000).toFixed(1).padStart(7)} s  ${text}`);
  }

  private async playOne(episode: Episode): Promise<void> {
    this.say(`episode ${episode.number}: ${episode.faults.map(describe).join('; ')}`);
    const started = performance.now();
    await Promise.all(episode.faults.map((fault) => this.inflict(fault, started)));
    const faultsEnded = performance.now();
    this.played += 1;
    await this.well();
    await this.progress();
    const recoveredMs = performance.now() - faultsEnded;
    this.recoveriesMs.push(recoveredMs);
    this.say(
      `  well again after ${(recoveredMs / 1000).toFixed(1)} s, primary ${await this.stage.primary()}`,
    );
    await this.check();
  }

  /** One fault, from its time in the episode until it is made good. */
  private async inflict(fault: PlannedFault, started: number): Promise<void> {
    await sleep(Math.max(0, started + fault.atMs - performance.now()));
    let undo: Undo | undefined;
    try {
      const victim = this.target.victim(fault);
      const say = (text: string) => this.say(`  ${fault.kind}: ${text}`);
      this.say(`  ${describe(fault)} hits ${victim.name} on ${victim.node}`);
      undo = await inflict[fault.kind]({ target: this.target, fault, victim, say });
      this.counts[fault.kind] = (this.counts[fault.kind] ?? 0) + 1;
    } catch (error) {
      // With the API away, or its victim gone, a fault may find nothing to do.
      this.say(`  ${fault.kind} could not be done: ${(error as Error).message.split('\n')[0]}`);
    }
    if (!undo) return;
    await sleep(fault.lastsMs);
    await this.undo(fault, undo);
  }

  /** Makes a fault good; tries again while another fault is in the way. */
  private async undo(fault: PlannedFault, undo: Undo): Promise<void> {
    let last = '';
    await waitFor(
      async () => {
        try {
          await undo();
          return true;
        } catch (error) {
          last = (error as Error).message;
          return false;
        }
      },
      { timeoutMs: 60_000, describe: () => `${fault.kind} cannot be undone: ${last}` },
    );
    this.say(`  ${fault.kind} is over`);
  }

  private async well(): Promise<void> {
    let seen = '';
    await waitFor(
      async () => {
        await this.stage.ready(RECOVER_MS);
        // The status may be some seconds old; the next fault must not find less than all copies.
        seen = `${await this.stage.sql(FOLLOWERS)} replicas stream`;
        return seen.startsWith(`${INSTANCES - 1} `);
      },
      { timeoutMs: RECOVER_MS, describe: () => seen },
    ).catch((error: Error) => {
      const { message } = (error.cause as Error | undefined) ?? error;
      throw new Error(`the cluster does not come back: ${message}`);
    });
  }

  /** Every writer gets something acknowledged again. */
  private async progress(): Promise<void> {
    const since = performance.timeOrigin + performance.now();
    for (const { name } of WRITERS)
      await waitFor(async () => this.history.lastAck(name) > since, {
        timeoutMs: 60_000,
        everyMs: 50,
        describe: () =>
          `client ${name} gets nothing acknowledged although the cluster says Ready: ${JSON.stringify(this.clients?.errors())}`,
      });
  }

  /** All ids of a client, asked again while leadership moves: settings that need a restart do that late. */
  private async idsOf(client: string): Promise<number[]> {
    return waitFor(() => this.stage.idsIn(client), {
      timeoutMs: 60_000,
      everyMs: 500,
      describe: () => `the rows of ${client} cannot be read`,
    });
  }

  /** Nothing that was acknowledged is gone, and no two primaries have acknowledged. */
  private async check(): Promise<void> {
    for (const client of this.history.names()) {
      // Taken before the look: what is acknowledged meanwhile need not be in it.
      const acknowledged = this.history.acknowledgedBy(client);
      const there = new Set(await this.idsOf(client));
      const missing = acknowledged.filter((id) => !there.has(id));
      if (missing.length === 0) continue;
      this.history.forget(client, missing);
      this.lost += missing.length;
      const what = `${missing.length} acknowledged writes of ${client} are gone: ${missing.slice(0, 5).join(', ')}...`;
      if (this.options.mode === 'sync') this.violated(what);
      else this.say(`  ${what}`);
    }
    if (this.options.mode !== 'sync') return;
    const [overlap] = this.history.overlaps;
    if (overlap)
      this.violated(
        `two primaries acknowledged: timeline ${overlap.old.timeline} ${Math.round(overlap.old.ackAt - overlap.newer.ackAt)} ms after timeline ${overlap.newer.timeline}`,
      );
    const stale = this.history.stale.find((each) => each.byMs > STALE_MS);
    if (stale)
      this.violated(`a read through -rw was ${Math.round(stale.byMs)} ms old: ${JSON.stringify(stale)}`);
  }
}
