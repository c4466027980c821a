import { mkdirSync, rmSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { isKubeError, kinds, type Pod } from '@pgherd/kube';
import { removeGroupsOf } from '../cgroup/groups.ts';
import { LocalError } from '../errors.ts';
import type { ContainerRecord, ShimEvent } from '../shim/protocol.ts';
import { writeJson } from '../state.ts';
import { RestartBackoff } from './backoff.ts';
import { startRequest } from './container-start.ts';
import { messageOf, type NodeContext, type TellEvent } from './context.ts';
import { resolveImage } from './images.ts';
import { isRunning, isSidecar, planPod } from './plan.ts';
import { podStatus } from './pod-status.ts';
import { PodVolumes } from './pod-volumes.ts';
import { ProberSet } from './prober-set.ts';
import { Sandbox } from './sandbox.ts';
import { StatusWriter } from './status-writer.ts';
import { containerOf, DEFAULT_GRACE_S, Termination } from './termination.ts';
import type { Action, PodFacts, Problem } from './types.ts';

const RETRY_MS = 1000;
const IMAGE_RETRY_MS = 3000;

/** How a step went: whether the next of the plan may follow, and whether to look again at once. */
interface Done {
  goOn: boolean;
  again: boolean;
}

const NEXT: Done = { goOn: true, again: true };
const QUIET: Done = { goOn: true, again: false };
const HALT: Done = { goOn: false, again: false };

/** Keeps one pod as the API says: looks, plans, acts, tells. One step at a time. */
export class PodWorker {
  readonly sandbox: Sandbox;
  private pod: Pod;
  private readonly uid: string;
  private readonly context: NodeContext;
  private readonly writer: StatusWriter;
  private readonly volumes: PodVolumes;
  private readonly probers: ProberSet;
  private readonly termination: Termination;
  private readonly backoff = new RestartBackoff();
  private readonly problems: Record<string, Problem> = {};
  private readonly restUntil: Record<string, number> = {};
  private readonly timers = new Set<NodeJS.Timeout>();
  private podProblem: Problem | undefined;
  private retryAt = 0;
  private due = false;
  private working = false;
  private ended = false;
  private ready: Promise<void>;

  constructor(context: NodeContext, pod: Pod) {
    this.context = context;
    this.pod = pod;
    this.uid = pod.metadata.uid!;
    this.writer = new StatusWriter(context.client, context.pods, context.log);
    this.sandbox = new Sandbox(context, this.uid, this.name, {
      heard: (event) => this.heard(event),
      lost: () => this.lost(),
    });
    this.volumes = new PodVolumes(
      context,
      () => this.pod,
      () => this.sandbox.ip,
    );
    this.probers = new ProberSet(this.sandbox, this.event, () => {
      this.tell(this.facts());
      this.wake();
    });
    this.termination = new Termination(this.sandbox, () => this.pod, this.event);
    this.ready = this.adopt();
    this.wake();
  }

  /** The API has a newer version of the pod. */
  update(pod: Pod): void {
    const { labels, annotations } = this.pod.metadata;
    this.pod = pod;
    // The downward API shows both in files.
    if (!isDeepStrictEqual([labels, annotations], [pod.metadata.labels, pod.metadata.annotations]))
      this.volumes.refresh();
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
    return { pod: this.pod, runs: this.sandbox.runs };
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
    return {
      pod: this.pod,
      nodeIP: this.context.nodeIP,
      sandbox: this.sandbox.facts,
      runs: this.sandbox.runs,
      probes: this.probers.results,
      problems: this.problems,
      podProblem: this.podProblem,
      restUntil: this.restUntil,
      stopping: this.termination.stopping,
      stoppingContainers: this.termination.containers,
      now: Date.now(),
    };
  }

  private tell(facts: PodFacts): void {
    const { namespace, name } = this.pod.metadata;
    if (this.context.pods.get(namespace, name)?.metadata.uid !== this.uid) return;
    // A pod that ended in an agent's former life: what is known of it is what the API has.
    const { phase } = this.pod.status ?? {};
    if (this.sandbox.runs.length === 0 && (phase === 'Succeeded' || phase === 'Failed')) return;
    this.writer.push(this.pod, podStatus(facts));
  }

  private async act(action: Action): Promise<Done> {
    switch (action.do) {
      case 'wait':
        this.wakeAt(action.until);
        return QUIET;
      case 'prepare':
        return this.guarded('FailedMount', () => this.volumes.make());
      case 'sandbox':
        return this.guarded('FailedCreatePodSandBox', () => this.makeSandbox());
      case 'start':
        return this.start(action);
      case 'stop':
        this.wakeAt(this.termination.stopAll());
        return NEXT;
      case 'stopContainer':
        this.termination.stopOne(action.container, action.why);
        return NEXT;
      case 'kill':
        await this.sandbox.signal(action.container, 'SIGKILL');
        return QUIET;
      case 'end':
        await this.endSandbox();
        return NEXT;
      case 'finish':
        return this.finish();
    }
  }

  /** Takes over what a former agent left. */
  private async adopt(): Promise<void> {
    mkdirSync(this.paths.dir, { recursive: true, mode: 0o700 });
    writeJson(this.paths.pod, this.pod);
    await this.sandbox.adopt();
    if (this.sandbox.facts.state !== 'alive') return;
    for (const run of this.sandbox.runs)
      if (isRunning(run)) this.probers.start(containerOf(this.pod, run.name));
  }

  private heard({ event, record: { name, finishedAt } }: ShimEvent): void {
    if (event === 'exited') {
      this.probers.stop(name);
      delete this.termination.containers[name];
      this.restUntil[name] = this.backoff.until(name, Date.parse(finishedAt!));
      if (this.restUntil[name]! > Date.now() && this.pod.spec.restartPolicy !== 'Never')
        this.event(
          'Warning',
          'BackOff',
          `Back-off restarting failed container ${name} in pod ${this.pod.metadata.name}`,
        );
    }
    this.wake();
    // Telling must not wait for a step that may be busy with the API.
    this.tell(this.facts());
  }

  private lost(): void {
    this.probers.stopAll();
    this.event('Normal', 'SandboxChanged', 'Pod sandbox changed, it will be killed and re-created.');
    this.wake();
  }

  /** Tries what a pod needs before its containers; what fails is told, and tried again a little later. */
  private async guarded(reason: string, action: () => Promise<void>): Promise<Done> {
    if (this.podProblem && Date.now() < this.retryAt) {
      this.wakeAt(this.retryAt);
      return HALT;
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
      return HALT;
    }
  }

  private async makeSandbox(): Promise<void> {
    await this.sandbox.make(this.pod);
    if (this.volumes.needAddress) await this.volumes.make();
  }

  private async start({ container: name, attempt, init }: Action & { do: 'start' }): Promise<Done> {
    const { spec } = this.pod;
    const { layout, root, nodeIP, cgroups } = this.context;
    const container = (init ? spec.initContainers : spec.containers)!.find((one) => one.name === name)!;
    try {
      const image = resolveImage(layout, container.image ?? '');
      if (this.volumes.prepared.size === 0 && spec.volumes?.length) await this.volumes.make();
      const place = { podIP: this.sandbox.ip!, hostIP: nodeIP };
      const { prepared, reader } = this.volumes;
      const context = { layout, pod: this.pod, place, root, volumes: prepared, reader, cgroups };
      const request = await startRequest(context, container, image, attempt);
      const before = await this.sandbox.start(request);
      if (before?.finishedAt) this.backoff.restarted(name, Date.parse(before.finishedAt));
    } catch (error) {
      this.startFailed(name, error);
      return QUIET;
    }
    delete this.problems[name];
    if (!init || isSidecar(container)) this.probers.start(container);
    this.event('Normal', 'Started', `Started container ${name}`);
    return NEXT;
  }

  private startFailed(name: string, error: unknown): void {
    const message = messageOf(error);
    const { code } = error instanceof LocalError ? error : { code: undefined };
    const reason = failureReason(code, this.problems[name]?.reason);
    this.problems[name] = { reason, message };
    this.restUntil[name] = Date.now() + (code === 'ImageUnknown' ? IMAGE_RETRY_MS : RETRY_MS);
    this.wakeAt(this.restUntil[name]!);
    this.context.log.warn({ pod: this.name, container: name, reason, message }, 'a container cannot start');
    this.event('Warning', 'Failed', `Error: ${reason}: ${message}`);
    this.tell(this.facts());
  }

  private async endSandbox(): Promise<void> {
    this.probers.stopAll();
    await this.sandbox.end();
  }

  /** Tells how the containers ended, then lets the API forget the pod, then forgets it here. */
  private async finish(): Promise<Done> {
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
          return HALT;
        }
      }
    }
    this.close();
    rmSync(this.paths.dir, { recursive: true, force: true });
    if (this.context.cgroups) removeGroupsOf(this.context.cgroups, this.uid);
    this.context.onGone(this.uid);
    return HALT;
  }

  /** Lets go of the pod without touching it: the agent ends, or the pod is gone. */
  close(): void {
    this.ended = true;
    this.clearTimers();
    this.volumes.close();
    this.probers.stopAll();
    this.writer.stop();
    this.sandbox.close();
    this.context.objects.release(this.uid);
  }

  private readonly event: TellEvent = (type, reason, message) => {
    // Kinds in lists may lack their names; an event must not.
    this.context.event({ ...this.pod, apiVersion: 'v1', kind: 'Pod' }, type, reason, message);
  };
}

/** As the kubelet words it. */
function failureReason(code: string | undefined, before: string | undefined): string {
  if (code === 'BadRequest') return 'CreateContainerConfigError';
  if (code !== 'ImageUnknown') return 'CreateContainerError';
  return before === 'ErrImagePull' || before === 'ImagePullBackOff' ? 'ImagePullBackOff' : 'ErrImagePull';
}
