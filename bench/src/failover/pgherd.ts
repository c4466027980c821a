/** pgherd at its defaults in local mode: three nodes for the instances, and one that nothing happens to. */
import { ClusterKind, waitFor } from '@pgherd/cli';
import type { RunningWriter } from '@pgherd/cli/writer/start';
import { Stage, startLocalWorld, type World } from '@pgherd/e2e';
import { breakNode, deleteAndReplace, nodeOf, takeApiAway, takeOperatorAway } from '@pgherd/e2e/faults';
import { type Pgbench, startPgbench } from '@pgherd/e2e/pgbench-pod';
import { type KubeObject, kinds } from '@pgherd/kube';
import { node } from '@pgherd/local';
import { benchClients, CONNECTED, checkLoaded, LOAD_ARGS, RUN_ARGS, RUN_MS } from './pgbench.ts';
import type { BenchClients, FaultName, Mode, Place, System, Undo } from './system.ts';

const NAMESPACE = 'bench';
const NODES = 4;
/** On the nodes that instances may run on. */
const LABEL = 'bench/database';
const READY_MS = 120_000;

export class PgherdSystem implements System {
  readonly name = 'pgherd';
  private world: World | undefined;
  private stage: Stage | undefined;
  /** The node where the clients are. */
  private apart = '';
  private pgbench: Pgbench | undefined;

  async start(): Promise<void> {
    const world = await startLocalWorld('bench', NODES);
    this.world = world;
    await world.client.create(kinds.Namespace, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: NAMESPACE },
    } as KubeObject);
    const nodes = (await node.list({ state: world.state })).map(({ name }) => name);
    this.apart = nodes.pop() ?? '';
    for (const name of nodes)
      await world.client.patch(
        kinds.Node,
        { name },
        {
          type: 'merge',
          body: { metadata: { labels: { [LABEL]: 'yes' } } },
        },
      );
    const stage = new Stage(world, NAMESPACE);
    this.stage = stage;
    await stage.createCluster({ affinity: { nodeSelector: { [LABEL]: 'yes' } } });
    this.pgbench = await startPgbench(stage, this.apart);
    checkLoaded((await this.pgbench(LOAD_ARGS, RUN_MS)).stderr);
  }

  async stop(): Promise<void> {
    await this.stage?.end();
    await this.world?.stop();
  }

  async prepare(mode: Mode): Promise<void> {
    const synchronous = mode === 'sync' ? { method: 'any', number: 1 } : null;
    await this.there.client.patch(
      ClusterKind,
      { namespace: NAMESPACE, name: this.there.cluster },
      { type: 'merge', body: { spec: { postgresql: { synchronous } } } },
    );
    const wanted = mode === 'sync' ? /^(ANY|FIRST) / : /^$/;
    await waitFor(async () => wanted.test(await this.there.sql('SHOW synchronous_standby_names')), {
      timeoutMs: 30_000,
      describe: () => `replication is not ${mode}`,
    });
    await this.settled();
  }

  async settled(): Promise<void> {
    await this.there.ready(READY_MS);
    await this.there.managersKnow();
  }

  primary(): Promise<string> {
    return this.there.primary();
  }

  writer(): Promise<RunningWriter> {
    return this.there.startWriter({ node: this.apart });
  }

  holder(instance: string, place: Place): Promise<RunningWriter> {
    return this.there.holdSession({ instance, from: place === 'inside' ? 'inside' : { node: this.apart } });
  }

  async clients(): Promise<BenchClients> {
    if (!this.pgbench) throw new Error('pgbench has no pod');
    return benchClients(
      this.pgbench(RUN_ARGS, RUN_MS).then(({ stderr }) => stderr),
      async () => Number(await this.there.sql(CONNECTED)),
    );
  }

  async drain(table: 'writes' | 'held'): Promise<number[]> {
    const ids = await this.there.idsIn(table);
    await this.there.sql(`TRUNCATE ${table}`);
    return ids;
  }

  readonly faults: Partial<Record<FaultName, (primary: string) => Promise<Undo | undefined>>> = {
    'postmaster-killed': async (primary) => {
      await this.there.killPostmaster(primary);
      return undefined;
    },
    'pod-killed': async (primary) => {
      await this.there.killEverything(primary);
      return undefined;
    },
    'node-stopped': (primary) => this.breakNodeOf(primary, 'stop'),
    'node-frozen': (primary) => this.breakNodeOf(primary, 'freeze'),
    'primary-isolated': (primary) => this.breakNodeOf(primary, 'isolate'),
    'operator-down': async (primary) => {
      const bringBack = await takeOperatorAway(this.there);
      const mend = await this.breakNodeOf(primary, 'stop');
      return async () => {
        await mend();
        await bringBack();
      };
    },
    'api-down': () => takeApiAway(this.there.world),
    switchover: async () => {
      const { code, stderr } = await this.there.cli(['switchover', this.there.cluster], {
        timeoutMs: 90_000,
      });
      if (code !== 0) throw new Error(`pgherd switchover: ${stderr}`);
      return undefined;
    },
    'pod-deleted': async (primary) => {
      await deleteAndReplace(this.there, primary);
      return undefined;
    },
  };

  private get there(): Stage {
    if (!this.stage) throw new Error('local mode has not been started');
    return this.stage;
  }

  private async breakNodeOf(instance: string, how: 'stop' | 'freeze' | 'isolate'): Promise<Undo> {
    return breakNode(this.there.world, await nodeOf(this.there, instance), how);
  }
}
