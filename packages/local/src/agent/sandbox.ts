import { setTimeout as sleep } from 'node:timers/promises';
import type { Pod } from '@pgherd/kube';
import { LocalError } from '../errors.ts';
import { containerProcesses, isAlive, signalPid } from '../net/processes.ts';
import {
  connectShim,
  openExec,
  openPort,
  readShimState,
  type ShimClient,
  startSandbox,
  withEnd,
} from '../shim/client.ts';
import {
  CHANNEL,
  type ContainerRecord,
  FrameReader,
  type ShimAnswer,
  type ShimEvent,
  type ShimRequest,
  type ShimState,
} from '../shim/protocol.ts';
import { writeJson } from '../state.ts';
import type { NodeContext } from './context.ts';
import { isRunning } from './plan.ts';
import type { PodFacts } from './types.ts';

const END_MS = 5000;
const DEATH_MS = 10_000;
/** Of what a probe or a hook says, the end is kept. */
const OUTPUT_BYTES = 4096;

export interface SandboxEvents {
  /** A container started or ended. */
  heard(event: ShimEvent): void;
  /** The shim is dead, and its containers with it. */
  lost(): void;
}

/** The sandbox of one pod, through its shim: made or taken over, talked to, ended. */
export class Sandbox {
  state: ShimState | undefined;
  /** Runs of containers, the newest last. */
  runs: ContainerRecord[] = [];
  private shim: ShimClient | undefined;
  private readonly context: NodeContext;
  private readonly uid: string;
  private readonly name: string;
  private readonly events: SandboxEvents;
  private closed = false;
  private ending = false;

  /** `name` is the pod's, for messages. */
  constructor(context: NodeContext, uid: string, name: string, events: SandboxEvents) {
    this.context = context;
    this.uid = uid;
    this.name = name;
    this.events = events;
  }

  private get paths() {
    return this.context.layout.pod(this.uid);
  }

  get ip(): string | undefined {
    return this.state?.ip;
  }

  get facts(): PodFacts['sandbox'] {
    const { state } = this;
    if (this.shim && state) return { state: 'alive', ip: state.ip, createdAt: state.createdAt };
    return { state: state ? 'dead' : 'none' };
  }

  /** Takes over what a former agent left. */
  async adopt(): Promise<void> {
    const state = readShimState(this.paths.shim);
    if (!state) return;
    this.state = state;
    this.runs = state.containers;
    if (isAlive(state.shim)) await this.connect();
    else await this.died(state);
  }

  /** Makes a new one. @throws LocalError SandboxFailed */
  async make({ metadata: { name, namespace } }: Pod): Promise<void> {
    const { context, uid } = this;
    if (this.state) context.releaseIP(this.state.ip);
    const ip = context.allocateIP();
    try {
      await startSandbox({
        layout: context.layout,
        pod: { uid, name, namespace: namespace! },
        node: context.node,
        ip,
        nodePid: process.pid,
        root: context.root,
      });
      await this.connect();
    } catch (error) {
      context.releaseIP(ip);
      throw error;
    }
  }

  private async connect(): Promise<void> {
    const shim = await connectShim(
      this.paths.socket,
      (event) => this.heard(event),
      () => void this.lost(),
    );
    const { state } = await shim.ask({ op: 'watch' });
    this.state = state;
    this.runs = state!.containers;
    this.shim = shim;
    this.ending = false;
  }

  private heard(event: ShimEvent): void {
    this.runs = this.runs.map((run) => (run.id === event.record.id ? event.record : run));
    this.events.heard(event);
  }

  private async lost(): Promise<void> {
    this.shim?.close();
    this.shim = undefined;
    if (!this.state || this.closed) return;
    await this.died({ ...this.state, containers: this.runs });
    if (!this.ending) this.events.lost();
  }

  /** Its runs have ended: kept on disk too, so that the end has one time whoever tells it. */
  private async died(state: ShimState): Promise<void> {
    this.runs = await ended(state);
    this.state = { ...state, containers: this.runs };
    writeJson(this.paths.shim, this.state);
  }

  /** @throws LocalError SandboxFailed */
  ask(request: ShimRequest): Promise<ShimAnswer> {
    if (!this.shim) throw new LocalError('SandboxFailed', `pod ${this.name} has no sandbox`);
    return this.shim.ask(request);
  }

  /** Starts a container; returns the run before this one. */
  async start(request: ShimRequest & { op: 'start' }): Promise<ContainerRecord | undefined> {
    const before = this.runs.findLast((run) => run.name === request.name);
    const { record } = await this.ask(request);
    const others = this.runs.filter(({ name }) => name !== record!.name);
    this.runs = [...others, ...(before ? [before] : []), record!];
    return before;
  }

  async signal(name: string, signal: NodeJS.Signals): Promise<void> {
    await this.shim?.ask({ op: 'signal', name, signal }).catch(() => {});
  }

  /** Opens an exec connection (see shim/protocol CHANNEL). @throws LocalError BadRequest */
  async exec(container: string, command: string[], options: { tty?: boolean; stdin?: boolean } = {}) {
    this.mustLive();
    return openExec(this.paths.socket, { op: 'exec', container, command, ...options });
  }

  /** Opens a connection to the streams of a container (see shim/protocol CHANNEL). @throws LocalError BadRequest */
  async attach(container: string) {
    this.mustLive();
    return openExec(this.paths.socket, { op: 'attach', container });
  }

  /** Opens a connection to a port as seen from inside the pod. @throws LocalError BadRequest, SandboxFailed */
  async connectTo(port: number) {
    this.mustLive();
    return openPort(this.paths.socket, port);
  }

  private mustLive(): void {
    if (!this.shim) throw new LocalError('BadRequest', `pod ${this.name} has no sandbox`);
  }

  /** Runs a command in a container and returns the end of what it said. */
  async run(
    container: string,
    command: string[],
    timeoutMs: number,
  ): Promise<{ exitCode: number; output: string }> {
    const socket = await this.exec(container, command);
    const frames = new FrameReader();
    let output = '';
    return new Promise((resolve) => {
      const end = (exitCode: number, text = output): void => {
        clearTimeout(timer);
        socket.destroy();
        resolve({ exitCode, output: text });
      };
      const timer = setTimeout(() => end(-1, `command timed out after ${timeoutMs} ms`), timeoutMs);
      socket.once('close', () => end(-1));
      socket.on('data', (chunk) => {
        for (const { channel, data } of frames.push(chunk)) {
          if (channel !== CHANNEL.result) output = (output + data).slice(-OUTPUT_BYTES);
          else {
            const result = JSON.parse(data.toString()) as { exitCode?: number; error?: string };
            end(result.exitCode ?? -1, result.error ?? output);
          }
        }
      });
    });
  }

  /** Kills what runs in it, and ends it. */
  async end(): Promise<void> {
    const { shim, state } = this;
    if (!shim || !state) return;
    this.shim = undefined;
    this.ending = true;
    await shim.ask({ op: 'end' }).catch(() => {});
    await goneWithin(() => isAlive(state.shim), END_MS);
    shim.close();
    this.context.releaseIP(state.ip);
  }

  /** Lets go of it; it lives on. */
  close(): void {
    this.closed = true;
    this.shim?.close();
  }
}

/** The runs of a dead sandbox, once each of its processes is seen gone: only then is their end a fact. */
async function ended(state: ShimState): Promise<ContainerRecord[]> {
  const alive = (): boolean =>
    isAlive(state.shim) || state.containers.some((run) => isRunning(run) && isAlive(run.init));
  await goneWithin(() => isAlive(state.shim), DEATH_MS);
  for (const pid of containerProcesses(state.pod.uid)) signalPid(pid, 'SIGKILL');
  await goneWithin(alive, DEATH_MS);
  return state.containers.map(withEnd);
}

async function goneWithin(alive: () => boolean, ms: number): Promise<void> {
  const end = Date.now() + ms;
  while (alive() && Date.now() < end) await sleep(3);
}
