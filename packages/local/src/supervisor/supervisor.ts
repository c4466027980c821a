import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { Client, isKubeError, kinds, type Log } from '@pgherd/kube';
import { loadKubeconfig } from '@pgherd/kube/kubeconfig';
import { LocalError } from '../errors.ts';
import { enter } from '../net/namespaces.ts';
import {
  allPids,
  containerProcesses,
  isAlive,
  markedProcesses,
  signalPid,
  signalTree,
} from '../net/processes.ts';
import { ensurePki } from '../pki.ts';
import { programFile } from '../programs.ts';
import { readShimState, stageFolder } from '../shim/client.ts';
import {
  type ImageConfig,
  type LocalConfig,
  type NodeConfig,
  readConfig,
  type StateLayout,
  writeConfig,
} from '../state.ts';
import type { NodeInfo, Progress } from '../types.ts';
import type { SparedTraffic } from './clients.ts';
import { Component } from './component.ts';
import type { ApiActionName, NodeActionName, SupervisorInfo } from './control.ts';
import { offerGroups, takeGroupsBack } from './groups.ts';
import { endMarked, Network, roleOf } from './network.ts';
import { firstPort, freePort, Relays } from './relays.ts';
import { stopPods } from './stop-pods.ts';

export interface SupervisorOptions {
  nodes?: number | string[];
  images?: Record<string, ImageConfig>;
  apiPort?: number;
}

const READY_MS = 45_000;
const DEFAULT_NODES = 3;
const API_PORT = 6443;
/** How long the API and its like get to end by themselves. */
const COMPONENT_MS = 2000;

/** Everything that runs, in the hands of one process. */
export class Supervisor {
  phase: SupervisorInfo['phase'] = 'starting';
  private readonly layout: StateLayout;
  private readonly log: Log;
  private readonly network: Network;
  private readonly relays: Relays;
  private readonly components = new Map<string, Component>();
  private readonly agents = new Map<string, Component>();
  private config!: LocalConfig;
  private client: Client | undefined;
  private stopped: Promise<void> | undefined;
  private limits = { enforced: false, text: 'not known yet' };
  private readonly startedAt = Date.now();

  constructor(layout: StateLayout, log: Log) {
    this.layout = layout;
    this.log = log;
    mkdirSync(layout.net, { recursive: true, mode: 0o700 });
    this.network = new Network(layout);
    this.relays = new Relays(layout, log);
  }

  info(): SupervisorInfo {
    const { apiPort } = this.config ?? { apiPort: 0 };
    return {
      phase: this.phase,
      pid: process.pid,
      info: {
        state: this.layout.dir,
        supervisorPid: process.pid,
        server: `https://127.0.0.1:${apiPort}`,
        apiPort,
        kubeconfig: this.layout.kubeconfig,
        limits: this.limits,
        nodes: this.config ? this.config.nodes.map((node) => this.nodeInfo(node)) : [],
      },
      components: [...this.components.values(), ...this.agents.values()].map(({ name, pid, restarts }) => ({
        name,
        pid,
        restarts,
      })),
      relays: this.relays.open,
    };
  }

  /** Starts all of it; resolves when the API answers and the nodes are ready. */
  async start(options: SupervisorOptions, say: (progress: Progress) => void): Promise<void> {
    this.clearLeftovers();
    const removed = await this.configure(options);
    this.limits = offerGroups(this.layout);
    say({ step: 'network', message: 'Making the network' });
    const pki = ensurePki(this.layout.dir, {
      apiPort: this.config.apiPort,
      nodes: this.config.nodes.map(({ name }) => name),
    });
    await Promise.all([pki, this.network.start(this.config.nodes)]);
    say({ step: 'api', message: 'Starting the Kubernetes API' });
    this.startComponents();
    this.relays.start();
    await this.apiReady();
    for (const name of removed) await this.forgetNode(name);
    say({ step: 'nodes', message: `Starting ${this.config.nodes.length} nodes` });
    await this.nodesReady();
    // Without it the API refuses pods: whoever waits for `up` may make one at once.
    await this.until('the controllers', 'controllers', async () => {
      const account = { namespace: 'default', name: 'default' };
      return (await this.client!.find(kinds.ServiceAccount, account)) !== undefined;
    });
    this.phase = 'ready';
  }

  /** Merges images into what the nodes know. */
  addImages(images: Record<string, ImageConfig>): void {
    this.config.images = { ...this.config.images, ...images };
    writeConfig(this.layout, this.config);
  }

  async nodeAction(action: NodeActionName, name: string, spare?: SparedTraffic): Promise<NodeInfo> {
    const node = this.config.nodes.find((candidate) => candidate.name === name);
    if (!node)
      throw new LocalError(
        'UnknownNode',
        `there is no node "${name}"`,
        `nodes: ${this.config.nodes.map((candidate) => candidate.name).join(', ')}`,
      );
    await this.actions[action](node, spare);
    writeConfig(this.layout, this.config);
    return this.nodeInfo(node);
  }

  /** Kills the API server and keeps it away, or starts it again and waits until it answers. */
  async apiAction(action: ApiActionName): Promise<SupervisorInfo> {
    const api = this.components.get('api')!;
    if (action === 'stop') await api.stop(0);
    else {
      api.start();
      await this.answering();
    }
    return this.info();
  }

  /**
   * Stops everything and keeps the data. First whatever would start something again, then the pods, while the API
   * is still there: what holds a Lease gives it back, and need not wait for its end.
   */
  stop(graceMs: number, say: (progress: Progress) => void): Promise<void> {
    this.phase = 'stopping';
    this.stopped ??= this.stopNow(graceMs, say);
    return this.stopped;
  }

  private readonly actions: Record<
    NodeActionName,
    (node: NodeConfig, spare?: SparedTraffic) => Promise<void>
  > = {
    stop: async (node) => {
      node.stopped = true;
      node.frozen = false;
      await this.network.setLink(node, false);
      const stopped = this.agents.get(node.name)!.stop(0);
      signalTree(this.shims(node.name), 'SIGKILL');
      await stopped;
      // The agent may have started one more before it died.
      signalTree(this.shims(node.name), 'SIGKILL');
    },
    start: async (node) => {
      if (node.frozen) await this.actions.thaw(node);
      node.stopped = false;
      if (!node.isolated) await this.network.setLink(node, true);
      this.agents.get(node.name)!.start();
    },
    freeze: async (node) => {
      node.frozen = true;
      const agent = this.agents.get(node.name)!.pid;
      signalTree([...(agent ? [agent] : []), ...this.shims(node.name)], 'SIGSTOP');
    },
    thaw: async (node) => {
      node.frozen = false;
      const agent = this.agents.get(node.name)!.pid;
      signalTree([...this.shims(node.name), ...(agent ? [agent] : [])], 'SIGCONT');
    },
    isolate: async (node, spare) => {
      node.isolated = true;
      if (spare) await this.network.cutButFor(node, spare);
      else await this.network.setLink(node, false);
    },
    join: async (node) => {
      node.isolated = false;
      await this.network.join(node);
    },
  };

  private shims(node: string): number[] {
    return markedProcesses(this.layout.dir, `shim-${node}`);
  }

  private nodeInfo(node: NodeConfig): NodeInfo {
    return {
      name: node.name,
      state: node.stopped ? 'stopped' : node.frozen ? 'frozen' : 'running',
      isolated: node.isolated ?? false,
      agentPid: this.agents.get(node.name)?.pid,
      pods: podCount(this.layout, node.name),
    };
  }

  /** Components of a supervisor that died are ended; shims and namespaces are taken over. */
  private clearLeftovers(): void {
    const keep = (role: string): boolean =>
      role === 'router' || role.startsWith('holder-') || role.startsWith('shim-');
    // A frozen one must run to be ended or taken over.
    signalTree(markedProcesses(this.layout.dir), 'SIGCONT');
    const ended = endMarked(this.layout.dir, (role) => role !== 'supervisor' && !keep(role));
    endStrays(this.layout);
    if (ended > 0) this.log.warn({ ended }, 'ended what a former supervisor left');
  }

  /** Settles config.json; returns the names of nodes that are no longer wanted. */
  private async configure(options: SupervisorOptions): Promise<string[]> {
    const before = readConfig(this.layout);
    const nodes = planNodes(before?.nodes ?? [], options.nodes);
    for (const node of nodes) node.frozen = false;
    this.config = {
      version: 1,
      apiPort: options.apiPort ?? before?.apiPort ?? (await freePort(firstPort(this.layout.dir, API_PORT))),
      nodes,
      images: { ...before?.images, ...options.images },
    };
    for (const { name } of nodes) mkdirSync(this.layout.node(name).dir, { recursive: true, mode: 0o700 });
    writeConfig(this.layout, this.config);
    const kept = new Set(nodes.map(({ name }) => name));
    return (before?.nodes ?? []).map(({ name }) => name).filter((name) => !kept.has(name));
  }

  private startComponents(): void {
    const { layout, network } = this;
    const node = process.execPath;
    const state = ['--state', layout.dir];
    this.add('api', () => [node, [programFile('api'), ...state, '--port', String(this.config.apiPort)]]);
    this.add('netd', () => enter(network.router, [node, programFile('net'), ...state]));
    this.add('controllers', () => [node, [programFile('controllers'), ...state]]);
    for (const component of this.components.values()) component.start();
    for (const config of this.config.nodes) {
      const agent = new Component(layout, `agent-${config.name}`, this.log, () =>
        enter(network.node(config.name), [node, programFile('agent'), ...state, '--node', config.name]),
      );
      this.agents.set(config.name, agent);
      if (!config.stopped) agent.start();
    }
  }

  private add(name: string, command: () => [string, string[]]): void {
    this.components.set(name, new Component(this.layout, name, this.log, command));
  }

  private async apiReady(): Promise<void> {
    const config = await loadKubeconfig({ path: this.layout.kubeconfig });
    this.client = new Client({
      ...config,
      socketPath: this.layout.apiSocket,
      userAgent: 'pgherd-supervisor',
    });
    await this.until('the Kubernetes API', 'api', () => this.asked());
  }

  /** Waits until the API answers again, in a running local mode. */
  private async answering(): Promise<void> {
    const end = performance.now() + READY_MS;
    while (performance.now() < end) {
      if (await this.asked().catch(() => false)) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new LocalError('Timeout', `the API did not answer within ${READY_MS / 1000} s`);
  }

  private async asked(): Promise<boolean> {
    await this.client!.text({ path: '/readyz', timeoutMs: 2000, retry: false });
    return true;
  }

  private async nodesReady(): Promise<void> {
    const wanted = this.config.nodes.filter((node) => !node.stopped && !node.isolated);
    const [first] = wanted;
    // A Lease renewed since our start: what a node's status says may be of its former life.
    await this.until('the nodes', `agent-${first?.name}`, async () => {
      const { items } = await this.client!.list(kinds.Lease, { namespace: 'kube-node-lease' });
      return wanted.every(({ name }) => {
        const lease = items.find(({ metadata }) => metadata.name === name);
        return Date.parse(lease?.spec.renewTime ?? '') >= this.startedAt;
      });
    });
  }

  private async until(what: string, component: string, ready: () => Promise<boolean>): Promise<void> {
    const end = performance.now() + READY_MS;
    let last: unknown;
    while (performance.now() < end && this.phase === 'starting') {
      try {
        if (await ready()) return;
      } catch (error) {
        last = error;
      }
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new LocalError(
      'ComponentFailed',
      `${what} did not come up within ${READY_MS / 1000} s${last ? `: ${String(last)}` : ''}`,
      `look into ${this.layout.log(component)}`,
    );
  }

  private async forgetNode(name: string): Promise<void> {
    try {
      await this.client!.delete(kinds.Node, { name });
    } catch (error) {
      if (!isKubeError(error, 'NotFound')) throw error;
    }
  }

  private async stopNow(graceMs: number, say: (progress: Progress) => void): Promise<void> {
    const componentMs = graceMs > 0 ? COMPONENT_MS : 0;
    const { controllers, ...others } = Object.fromEntries(this.components);
    say({ step: 'pods', message: 'Stopping the pods' });
    await Promise.all([
      ...[...this.agents.values()].map((agent) => agent.stop(0)),
      controllers?.stop(componentMs),
    ]);
    if (graceMs > 0) {
      signalTree(markedProcesses(this.layout.dir), 'SIGCONT');
      await stopPods(this.layout, graceMs);
    }
    say({ step: 'components', message: 'Stopping the API' });
    this.relays.stop();
    this.client?.close();
    await Promise.all(Object.values(others).map((component) => component.stop(componentMs)));
    await endRest(this.layout);
    this.network.stop();
  }
}

/** Kills containers whose shim is dead; see containerProcesses. */
function endStrays(layout: StateLayout): void {
  for (const uid of existsSync(layout.pods) ? readdirSync(layout.pods) : []) {
    if (isAlive(readShimState(layout.pod(uid).shim)?.shim)) continue;
    for (const pid of containerProcesses(uid)) signalPid(pid, 'SIGKILL');
  }
}

/** Stops what is left of a local cluster without its supervisor: pods, then every marked process. */
export async function stopRest(
  layout: StateLayout,
  graceMs: number,
  say: (progress: Progress) => void,
): Promise<void> {
  signalTree(markedProcesses(layout.dir), 'SIGCONT');
  if (graceMs > 0) {
    say({ step: 'pods', message: 'Stopping the pods' });
    await stopPods(layout, graceMs);
  }
  await endRest(layout);
}

/** Kills every marked process and clears what they leave. */
async function endRest(layout: StateLayout): Promise<void> {
  const { dir } = layout;
  endMarked(dir, (role) => role !== 'supervisor');
  const end = Date.now() + 5000;
  const left = (): boolean => markedProcesses(dir).some((pid) => roleOf(pid) !== 'supervisor');
  while (left() && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 10));
  endStrays(layout);
  takeGroupsBack(layout);
  for (const name of existsSync(layout.run) ? readdirSync(layout.run) : []) {
    if (name.endsWith('.pid') || name === 'network.json') rmSync(`${layout.run}/${name}`, { force: true });
  }
  try {
    rmdirSync(stageFolder(dir));
  } catch {
    // Not there: a normal user's pods need none.
  }
}

/** Nodes as wanted; those that stay keep their index and with it their addresses. */
function planNodes(before: NodeConfig[], wanted: number | string[] | undefined): NodeConfig[] {
  if (wanted === undefined && before.length > 0) return before;
  const names = Array.isArray(wanted)
    ? wanted
    : Array.from({ length: wanted ?? DEFAULT_NODES }, (_, index) => `node-${index + 1}`);
  const used = new Set(before.filter(({ name }) => names.includes(name)).map(({ index }) => index));
  return names.map((name) => {
    const known = before.find((node) => node.name === name);
    if (known) return known;
    let index = 1;
    while (used.has(index)) index++;
    used.add(index);
    return { name, index };
  });
}

function podCount(layout: StateLayout, node: string): number {
  if (!existsSync(layout.pods)) return 0;
  const alive = new Set(allPids());
  return readdirSync(layout.pods).filter((uid) => {
    const state = readShimState(layout.pod(uid).shim);
    return state?.node === node && alive.has(state.shim.pid);
  }).length;
}
