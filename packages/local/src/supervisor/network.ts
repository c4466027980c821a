import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cutButFor, uncut } from '../net/isolation.ts';
import { type Holder, holderAlive, startNode, startRouter, stopHolder } from '../net/namespaces.ts';
import { markedProcesses, signalPid } from '../net/processes.ts';
import { removeLink, setLink, setUpNode, setUpRouter } from '../net/topology.ts';
import { type NodeConfig, type StateLayout, writeJson } from '../state.ts';
import type { SparedTraffic } from './clients.ts';

interface Holders {
  router?: Holder;
  nodes: Record<string, Holder>;
}

/** The namespaces of a local cluster. What lives from a former supervisor is taken over, pods included. */
export class Network {
  private readonly layout: StateLayout;
  private holders: Holders;

  constructor(layout: StateLayout) {
    this.layout = layout;
    this.holders = existsSync(this.file)
      ? (JSON.parse(readFileSync(this.file, 'utf8')) as Holders)
      : { nodes: {} };
  }

  get router(): Holder {
    return this.holders.router!;
  }

  node(name: string): Holder {
    return this.holders.nodes[name]!;
  }

  /** Makes what is missing. */
  async start(nodes: NodeConfig[]): Promise<void> {
    if (!holderAlive(this.holders.router)) {
      // Whatever else lives hangs on a network that is gone.
      endMarked(this.layout.dir, (role) => role.startsWith('holder-') || role.startsWith('shim-'));
      this.holders = { router: await startRouter(this.layout.dir), nodes: {} };
      this.save();
      await setUpRouter(this.router);
    }
    for (const node of nodes) await this.startNode(node);
  }

  async setLink(node: NodeConfig, up: boolean): Promise<void> {
    await setLink(this.router, this.node(node.name), node.index, up);
  }

  /** Cuts a node off from all but its clients. Not kept over a restart: then it is cut off wholly. */
  async cutButFor(node: NodeConfig, spare: SparedTraffic): Promise<void> {
    await cutButFor(this.router, node.index, spare);
  }

  /** Mends what either of them cut. */
  async join(node: NodeConfig): Promise<void> {
    await uncut(this.router, node.index);
    await this.setLink(node, !node.stopped);
  }

  private async startNode(node: NodeConfig): Promise<void> {
    if (!holderAlive(this.holders.nodes[node.name])) {
      endMarked(this.layout.dir, (role) => role === `shim-${node.name}`);
      await removeLink(this.router, node.index);
      const holder = await startNode(this.layout.dir, this.router, node.name);
      this.holders.nodes[node.name] = holder;
      this.save();
      await setUpNode(this.router, holder, node.index);
    }
    await this.setLink(node, !(node.isolated || node.stopped));
  }

  /** Ends the namespaces, once nothing lives in them. */
  stop(): void {
    for (const holder of Object.values(this.holders.nodes)) stopHolder(holder);
    stopHolder(this.holders.router);
    this.holders = { nodes: {} };
    this.save();
  }

  private get file(): string {
    return join(this.layout.run, 'network.json');
  }

  private save(): void {
    writeJson(this.file, this.holders);
  }
}

/**
 * Kills processes of a state folder by their role: not what descends from them, since a shim descends from the
 * agent that started it and must outlive it. Containers die with their shim.
 */
export function endMarked(state: string, wanted: (role: string) => boolean): number {
  const pids = markedProcesses(state).filter((pid) => wanted(roleOf(pid)));
  return pids.filter((pid) => signalPid(pid, 'SIGKILL')).length;
}

/** What a marked process is for. */
export function roleOf(pid: number): string {
  try {
    const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    return environment.find((entry) => entry.startsWith('PGHERD_ROLE='))?.slice(12) ?? '';
  } catch {
    return '';
  }
}
