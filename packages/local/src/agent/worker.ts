import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import {
  type Cache,
  type Client,
  type Container,
  type EventRecorder,
  isKubeError,
  kinds,
  type Log,
  type Pod,
} from '@pgherd/kube';
import { type CgroupRoots, removeGroupsOf } from '../cgroup/groups.ts';
import { LocalError } from '../errors.ts';
import { containerProcesses, isAlive, signalPid } from '../net/processes.ts';
import {
  connectShim,
  openExec,
  openPort,
  readShimState,
  type ShimClient,
  stageFolder,
  startSandbox,
  withEnd,
} from '../shim/client.ts';
import {
  CHANNEL,
  type ContainerRecord,
  FrameReader,
  type ShimEvent,
  type ShimState,
} from '../shim/protocol.ts';
import { type StateLayout, writeJson } from '../state.ts';
import { RestartBackoff } from './backoff.ts';
import { startRequest } from './container-start.ts';
import { resolveImage } from './images.ts';
import { type ObjectWatcher, readerOf } from './objects.ts';
import { isDone, isRunning, isSidecar, planPod } from './plan.ts';
import { podStatus } from './pod-status.ts';
import { Prober } from './probes.ts';
import { StatusWriter } from './status-writer.ts';
import type { Action, PodFacts, ProbeResult, Problem } from './types.ts';
import { type PreparedVolume, prepareVolume, type VolumeReader } from './volumes.ts';

/** What all pods of a node share. */
export interface NodeContext {
  layout: StateLayout;
  node: string;
  nodeIP: string;
  root: boolean;
  client: Client;
  pods: Cache<Pod>;
  objects: ObjectWatcher;
  event: EventRecorder;
  log: Log;
  /** Where control groups can be made; undefined where they cannot. */
  cgroups?: CgroupRoots;
  allocateIP(): string;
  releaseIP(ip: string): void;
  /** The pod is gone, its worker with it. */
  onGone(uid: string): void;
}

const RETRY_MS = 1000;
const IMAGE_RETRY_MS = 3000;
const DEFAULT_GRACE_S = 30;

/** Keeps one pod as the API says: looks, plans, acts, tells. One step at a time. */
export class PodWorker {
  private pod: Pod;
  private readonly uid: string;
  private readonly context: NodeContext;
  private readonly writer: StatusWriter;
  private readonly backoff = new RestartBackoff();
  private readonly volumes = new Map<string, PreparedVolume>();
  private readonly probers = new Map<string, Prober>();
  private readonly problems: Record<string, Problem> = {};
  private readonly restUntil: Record<string, number> = {};
  private readonly stoppingContainers: Record<string, { killAt: number }> = {};
  private readonly timers = new Set<NodeJS.Timeout>();
  private readonly reader: VolumeReader;
  private podProblem: Problem | undefined;
  private retryAt = 0;
  private stopping: { killAt: number } | undefined;
  private shim: ShimClient | undefined;
  private shimState: ShimState | undefined;
  private runs: ContainerRecord[] = [];
  private due = false;
  private working = false;
  private ended = false;
  private ready: Promise<void>;

  constructor(context: NodeContext, pod: Pod) {
    this.context = context;
    this.pod = pod;
    this.uid = pod.metadata.uid!;
    this.writer = new StatusWriter(context.client, context.pods, context.log);
    this.reader = readerOf(context.client, context.objects, pod, () => this.refreshVolumes());
    this.ready = this.adopt();
    this.wake();
  }

  /** The API has a newer version of the pod. */
  update(pod: Pod): void {
    const { labels, annotations } = this.pod.metadata;
    this.pod = pod;
    // The downward API shows both in files.
    if (!isDeepStrictEqual([labels, annotations], [pod.metadata.labels, pod.metadata.annotations]))
      this.refreshVolumes();
    this.wake();
  }

  /** The API has the pod no more: its processes must go all the same, with the grace they were promised. */
  deleted(): void {
    if (!this.pod.metadata.deletionTimestamp) {
      const grace = this.pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_S;
      this.pod = {
        ...this.pod,
        metadata: {
          ...this.pod.metadata,
          deletionTimestamp: new Date().toISOString(),
          deletionGracePeriodSeconds: grace,
        },
      };
    }
    this.wake();
  }

  /** Resolves when the API has heard of the pod's state once. */
  async told(): Promise<void> {
    await this.ready;
    this.tell(this.facts());
    await this.writer.flush();
  }

  get name(): string {
    return `${this.pod.metadata.namespace}/${this.pod.metadata.name}`;
  }

  get current(): { pod: Pod; runs: ContainerRecord[] } {
    return { pod: this.pod, runs: this.runs };
  }

  /** Opens an exec connection (see shim/protocol CHANNEL). @throws LocalError BadRequest */
  async exec(container: string, command: string[], options: { tty?: boolean; stdin?: boolean } = {}) {
    if (!this.shim) throw new LocalError('BadRequest', `pod ${this.name} has no sandbox`);
    return openExec(this.paths.socket, { op: 'exec', container, command, ...options });
  }

  /** Opens a connection to the streams of a container (see shim/protocol CHANNEL). @throws LocalError BadRequest */
  async attach(container: string) {
    if (!this.shim) throw new LocalError('BadRequest', `pod ${this.name} has no sandbox`);
    return openExec(this.paths.socket, { op: 'attach', container });
  }

  /** Opens a connection to a port as seen from inside the pod. @throws LocalError BadRequest, SandboxFailed */
  async connectTo(port: number) {
    if (!this.shim) throw new LocalError('BadRequest', `pod ${this.name} is not running`);
    return openPort(this.paths.socket, port);
  }

  private get paths() {
    return this.context.layout.pod(this.uid);
  }

  private wake(): void {
    this.due = true;
    if (!this.working) void this.work();
  }

  private wakeAt(time: number): void {
    const timer = setTimeout(
      () => {
        this.timers.delete(timer);
        this.wake();
      },
      Math.max(0, time - Date.now()),
    );
    this.timers.add(timer);
  }

  private async work(): Promise<void> {
    this.working = true;
    try {
      await this.ready;
      while (this.due && !this.ended) {
        this.due = false;
        this.clearTimers();
        await this.step();
      }
    } catch (error) {
      this.context.log.error({ pod: this.name, error: (error as Error).stack }, 'keeping a pod');
      this.wakeAt(Date.now() + RETRY_MS);
    } finally {
      this.working = false;
    }
    if (this.due && !this.ended) this.wake();
  }

  private clearTimers(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
  }

  private async step(): Promise<void> {
    const facts = this.facts();
    this.tell(facts);
    for (const action of planPod(facts)) {
      const { goOn, again } = await this.act(action);
      if (again) this.due = true;
      if (!goOn) return;
    }
    if (!this.ended && this.due) this.tell(this.facts());
  }

  private facts(): PodFacts {
    const probes: Record<string, ProbeResult> = {};
    for (const [name, prober] of this.probers) probes[name] = { ...prober.result };
    const state = this.shimState;
    return {
      pod: this.pod,
      nodeIP: this.context.nodeIP,
      sandbox:
        this.shim && state
          ? { state: 'alive', ip: state.ip, createdAt: state.createdAt }
          : { state: state ? 'dead' : 'none' },
      runs: this.runs,
      probes,
      problems: this.problems,
      podProblem: this.podProblem,
      restUntil: this.restUntil,
      stopping: this.stopping,
      stoppingContainers: this.stoppingContainers,
      now: Date.now(),
    };
  }

  private tell(facts: PodFacts): void {
    if (this.context.pods.get(this.pod.metadata.namespace, this.pod.metadata.name)?.metadata.uid !== this.uid)
      return;
    // A pod that ended in an agent's former life: what is known of it is what the API has.
    const { phase } = this.pod.status ?? {};
    if (this.runs.length === 0 && (phase === 'Succeeded' || phase === 'Failed')) return;
    this.writer.push(this.pod, podStatus(facts));
  }

  private async act(action: Action): Promise<{ goOn: boolean; again: boolean }> {
    const done = { goOn: true, again: true };
    switch (action.do) {
      case 'wait':
        this.wakeAt(action.until);
        return { goOn: true, again: false };
      case 'prepare':
        return this.prepare();
      case 'sandbox':
        return this.guarded('FailedCreatePodSandBox', () => this.makeSandbox());
      case 'start':
        return this.start(action);
      case 'stop':
        this.stopAll();
        return done;
      case 'stopContainer':
        this.stopOne(action.container, action.why);
        return done;
      case 'kill':
        await this.signal(action.container, 'SIGKILL');
        return { goOn: true, again: false };
      case 'end':
        await this.endSandbox();
        return done;
      case 'finish':
        return this.finish();
    }
  }

  /** Takes over what a former agent left. */
  private async adopt(): Promise<void> {
    mkdirSync(this.paths.dir, { recursive: true, mode: 0o700 });
    writeJson(this.paths.pod, this.pod);
    const state = readShimState(this.paths.shim);
    if (!state) return;
    this.shimState = state;
    this.runs = state.containers;
    if (isAlive(state.shim)) {
      await this.connect();
      for (const run of this.runs) if (isRunning(run)) this.probe(run.name);
    } else await this.sandboxDied(state);
  }

  private async connect(): Promise<void> {
    const shim = await connectShim(
      this.paths.socket,
      (event) => this.heard(event),
      () => void this.lostShim(),
    );
    const { state } = await shim.ask({ op: 'watch' });
    this.shimState = state;
    this.runs = state!.containers;
    this.shim = shim;
  }

  private heard({ event, record }: ShimEvent): void {
    this.runs = this.runs.map((run) => (run.id === record.id ? record : run));
    if (event === 'exited') {
      this.probers.get(record.name)?.stop();
      this.probers.delete(record.name);
      delete this.stoppingContainers[record.name];
      this.restUntil[record.name] = this.backoff.until(record.name, Date.parse(record.finishedAt!));
      if (this.restUntil[record.name]! > Date.now() && this.pod.spec.restartPolicy !== 'Never')
        this.event(
          'Warning',
          'BackOff',
          `Back-off restarting failed container ${record.name} in pod ${this.pod.metadata.name}`,
        );
    }
    this.wake();
    // Telling must not wait for a step that may be busy with the API.
    this.tell(this.facts());
  }

  private async lostShim(): Promise<void> {
    this.shim?.close();
    this.shim = undefined;
    this.stopProbers();
    const state = this.shimState;
    if (state && !this.ended) {
      await this.sandboxDied({ ...state, containers: this.runs });
      this.event('Normal', 'SandboxChanged', 'Pod sandbox changed, it will be killed and re-created.');
      this.wake();
    }
  }

  /** Its runs have ended: kept on disk too, so that the end has one time whoever tells it. */
  private async sandboxDied(state: ShimState): Promise<void> {
    this.runs = await ended(state);
    this.shimState = { ...state, containers: this.runs };
    writeJson(this.paths.shim, this.shimState);
  }

  private stopProbers(): void {
    for (const prober of this.probers.values()) prober.stop();
    this.probers.clear();
  }

  private async guarded(
    reason: string,
    action: () => Promise<void>,
  ): Promise<{ goOn: boolean; again: boolean }> {
    if (this.podProblem && Date.now() < this.retryAt) {
      this.wakeAt(this.retryAt);
      return { goOn: false, again: false };
    }
    try {
      await action();
      const again = this.podProblem !== undefined || reason === 'FailedCreatePodSandBox';
      this.podProblem = undefined;
      return { goOn: true, again };
    } catch (error) {
      const message = messageOf(error);
      this.context.log.warn({ pod: this.name, reason, message }, 'a pod cannot start');
      this.podProblem = { reason, message };
      this.retryAt = Date.now() + RETRY_MS;
      this.event('Warning', reason, message);
      this.tell(this.facts());
      this.wakeAt(this.retryAt);
      return { goOn: false, again: false };
    }
  }

  private prepare(): Promise<{ goOn: boolean; again: boolean }> {
    return this.guarded('FailedMount', () => this.makeVolumes());
  }

  private async makeVolumes(): Promise<void> {
    const context = {
      pod: this.pod,
      place: { podIP: this.shimState?.ip ?? '', hostIP: this.context.nodeIP },
      dir: this.paths.volumes,
      root: this.context.root,
      stage: stageFolder(this.context.layout.dir),
      reader: this.reader,
      now: Date.now(),
    };
    mkdirSync(this.paths.volumes, { recursive: true, mode: 0o700 });
    await Promise.all(
      (this.pod.spec.volumes ?? []).map(async (volume) => {
        this.volumes.set(volume.name, await prepareVolume(context, volume));
      }),
    );
    const renewAt = Math.min(
      ...[...this.volumes.values()].map(({ renewAt = Number.POSITIVE_INFINITY }) => renewAt),
    );
    if (renewAt < Number.POSITIVE_INFINITY) this.renewLater(renewAt);
  }

  private renewal: NodeJS.Timeout | undefined;

  private renewLater(time: number): void {
    clearTimeout(this.renewal);
    this.renewal = setTimeout(() => this.refreshVolumes(), Math.max(1000, time - Date.now()));
  }

  /** Something that volumes are made of has changed, or a token has grown old. */
  private refreshVolumes(): void {
    if (this.ended || this.volumes.size === 0) return;
    this.makeVolumes().catch((error) => {
      this.context.log.warn({ pod: this.name, error: messageOf(error) }, 'refreshing volumes');
      this.renewLater(Date.now() + 10_000);
    });
  }

  private async makeSandbox(): Promise<void> {
    if (this.shimState) this.context.releaseIP(this.shimState.ip);
    const ip = this.context.allocateIP();
    const { namespace, name } = this.pod.metadata;
    try {
      await startSandbox({
        layout: this.context.layout,
        pod: { uid: this.uid, name, namespace: namespace! },
        node: this.context.node,
        ip,
        nodePid: process.pid,
        root: this.context.root,
      });
      await this.connect();
    } catch (error) {
      this.context.releaseIP(ip);
      throw error;
    }
    if (this.volumesNeedAddress()) await this.makeVolumes();
  }

  private volumesNeedAddress(): boolean {
    return (this.pod.spec.volumes ?? []).some(
      ({ downwardAPI, projected }) => downwardAPI || projected?.sources?.some((source) => source.downwardAPI),
    );
  }

  private async start({
    container: name,
    attempt,
    init,
  }: Action & { do: 'start' }): Promise<{ goOn: boolean; again: boolean }> {
    const { spec } = this.pod;
    const container = (init ? spec.initContainers : spec.containers)!.find((one) => one.name === name)!;
    try {
      const image = resolveImage(this.context.layout, container.image ?? '');
      if (this.volumes.size === 0 && spec.volumes?.length) await this.makeVolumes();
      const request = await startRequest(
        {
          layout: this.context.layout,
          pod: this.pod,
          place: { podIP: this.shimState!.ip, hostIP: this.context.nodeIP },
          root: this.context.root,
          volumes: this.volumes,
          reader: this.reader,
          cgroups: this.context.cgroups,
        },
        container,
        image,
        attempt,
      );
      const before = this.runs.findLast((run) => run.name === name);
      const { record } = await this.shim!.ask(request);
      this.took(record!, before);
    } catch (error) {
      this.startFailed(name, error);
      return { goOn: true, again: false };
    }
    delete this.problems[name];
    if (!init || isSidecar(container)) this.probe(name);
    this.event('Normal', 'Started', `Started container ${name}`, name);
    return { goOn: true, again: true };
  }

  private took(record: ContainerRecord, before: ContainerRecord | undefined): void {
    const others = this.runs.filter(({ name }) => name !== record.name);
    this.runs = [...others, ...(before ? [before] : []), record];
    if (before?.finishedAt) this.backoff.restarted(record.name, Date.parse(before.finishedAt));
  }

  private startFailed(name: string, error: unknown): void {
    const message = messageOf(error);
    const unknownImage = error instanceof LocalError && error.code === 'ImageUnknown';
    const again =
      this.problems[name]?.reason === 'ErrImagePull' || this.problems[name]?.reason === 'ImagePullBackOff';
    const reason = unknownImage
      ? again
        ? 'ImagePullBackOff'
        : 'ErrImagePull'
      : error instanceof LocalError && error.code === 'BadRequest'
        ? 'CreateContainerConfigError'
        : 'CreateContainerError';
    this.problems[name] = { reason, message };
    this.restUntil[name] = Date.now() + (unknownImage ? IMAGE_RETRY_MS : RETRY_MS);
    this.wakeAt(this.restUntil[name]!);
    this.context.log.warn({ pod: this.name, container: name, reason, message }, 'a container cannot start');
    this.event('Warning', 'Failed', `Error: ${reason}: ${message}`, name);
    this.tell(this.facts());
  }

  private containerOf(name: string): Container | undefined {
    return [...this.pod.spec.containers, ...(this.pod.spec.initContainers ?? [])].find(
      (one) => one.name === name,
    );
  }

  private probe(name: string): void {
    const container = this.containerOf(name);
    if (
      !container ||
      !this.shimState ||
      !(container.startupProbe || container.readinessProbe || container.livenessProbe)
    )
      return;
    this.probers.get(name)?.stop();
    const prober = new Prober(
      container,
      { ip: this.shimState.ip, exec: (command, timeoutMs) => this.run(name, command, timeoutMs) },
      () => {
        this.tell(this.facts());
        this.wake();
      },
      (kind, why) =>
        this.event(
          'Warning',
          'Unhealthy',
          `${kind[0]!.toUpperCase()}${kind.slice(1)} probe failed: ${why}`,
          name,
        ),
    );
    this.probers.set(name, prober);
  }

  /** Runs a command in a container and returns the end of what it said. */
  private async run(
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
          if (channel !== CHANNEL.result) output = (output + data).slice(-4096);
          else {
            const result = JSON.parse(data.toString()) as { exitCode?: number; error?: string };
            end(result.exitCode ?? -1, result.error ?? output);
          }
        }
      });
    });
  }

  private async signal(name: string, signal: NodeJS.Signals): Promise<void> {
    await this.shim?.ask({ op: 'signal', name, signal }).catch(() => {});
  }

  private stopAll(): void {
    const { deletionGracePeriodSeconds } = this.pod.metadata;
    const grace =
      deletionGracePeriodSeconds ?? this.pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_S;
    const killAt = Date.now() + grace * 1000;
    this.stopping = { killAt };
    for (const run of this.runs) if (isRunning(run)) void this.terminate(run.name, grace * 1000);
    this.wakeAt(killAt);
  }

  private stopOne(name: string, why: string): void {
    const container = this.containerOf(name);
    const probe = container?.livenessProbe ?? container?.startupProbe;
    const grace =
      probe?.terminationGracePeriodSeconds ?? this.pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_S;
    this.stoppingContainers[name] = { killAt: Date.now() + grace * 1000 };
    this.event('Normal', 'Killing', `Container ${name}: ${why}; it will be restarted`, name);
    void this.terminate(name, grace * 1000);
  }

  /** The preStop hook, then SIGTERM; who outlives the grace period is killed by the plan. */
  private async terminate(name: string, graceMs: number): Promise<void> {
    const hook = this.containerOf(name)?.lifecycle?.preStop;
    if (this.pod.metadata.deletionTimestamp)
      this.event('Normal', 'Killing', `Stopping container ${name}`, name);
    if (hook?.exec?.command && graceMs > 0) {
      const { exitCode, output } = await this.run(name, hook.exec.command, graceMs).catch((error) => ({
        exitCode: -1,
        output: messageOf(error),
      }));
      if (exitCode !== 0) this.event('Warning', 'FailedPreStopHook', `PreStopHook failed: ${output}`, name);
    } else if (hook?.sleep) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(hook.sleep!.seconds * 1000, graceMs)));
    }
    await this.signal(name, 'SIGTERM');
  }

  private async endSandbox(): Promise<void> {
    this.stopProbers();
    const { shim, shimState } = this;
    if (!shim || !shimState) return;
    this.shim = undefined;
    await shim.ask({ op: 'end' }).catch(() => {});
    await goneWithin(() => isAlive(shimState.shim), 5000);
    shim.close();
    this.context.releaseIP(shimState.ip);
  }

  /** Tells how the containers ended, then lets the API forget the pod, then forgets it here. */
  private async finish(): Promise<{ goOn: boolean; again: boolean }> {
    await this.endSandbox();
    this.tell(this.facts());
    const { namespace, name } = this.pod.metadata;
    const known = this.context.pods.get(namespace, name);
    if (known?.metadata.uid === this.uid) {
      await this.writer.flush();
      try {
        await this.context.client.delete(
          kinds.Pod,
          { namespace, name },
          { gracePeriodSeconds: 0, preconditions: { uid: this.uid } },
        );
      } catch (error) {
        if (!isKubeError(error, 'NotFound', 'Conflict')) {
          this.wakeAt(Date.now() + RETRY_MS);
          return { goOn: false, again: false };
        }
      }
    }
    this.close();
    rmSync(this.paths.dir, { recursive: true, force: true });
    if (this.context.cgroups) removeGroupsOf(this.context.cgroups, this.uid);
    this.context.onGone(this.uid);
    return { goOn: false, again: false };
  }

  /** Lets go of the pod without touching it: the agent ends, or the pod is gone. */
  close(): void {
    this.ended = true;
    this.clearTimers();
    clearTimeout(this.renewal);
    this.stopProbers();
    this.writer.stop();
    this.shim?.close();
    this.context.objects.release(this.uid);
  }

  private event(type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void {
    // Kinds in lists may lack their names; an event must not.
    const object = { ...this.pod, apiVersion: 'v1', kind: 'Pod' };
    void container;
    this.context.event(object, type, reason, message);
  }

  /** For tests and for the node's pod count: false once the pod has ended. */
  get active(): boolean {
    return !isDone(this.facts()) && existsSync(this.paths.dir);
  }
}

/** The runs of a dead sandbox, once each of its processes is seen gone: only then is their end a fact. */
async function ended(state: ShimState): Promise<ContainerRecord[]> {
  const alive = (): boolean =>
    isAlive(state.shim) || state.containers.some((run) => isRunning(run) && isAlive(run.init));
  await goneWithin(() => isAlive(state.shim), 10_000);
  for (const pid of containerProcesses(state.pod.uid)) signalPid(pid, 'SIGKILL');
  await goneWithin(alive, 10_000);
  return state.containers.map(withEnd);
}

async function goneWithin(alive: () => boolean, ms: number): Promise<void> {
  const end = Date.now() + ms;
  while (alive() && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 3));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
