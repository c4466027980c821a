import type { Container, Pod } from '@pgherd/kube';
import { messageOf, type TellEvent } from './context.ts';
import { isRunning } from './plan.ts';
import type { Sandbox } from './sandbox.ts';

export const DEFAULT_GRACE_S = 30;

/** How containers are told to end: the preStop hook, then SIGTERM. Who outlives the grace is killed by the plan. */
export class Termination {
  /** The whole pod ends; what runs still is killed at this time. */
  stopping: { killAt: number } | undefined;
  /** These containers end, to be started again. */
  readonly containers: Record<string, { killAt: number }> = {};
  private readonly sandbox: Sandbox;
  private readonly pod: () => Pod;
  private readonly tell: TellEvent;

  constructor(sandbox: Sandbox, pod: () => Pod, tell: TellEvent) {
    this.sandbox = sandbox;
    this.pod = pod;
    this.tell = tell;
  }

  /** Tells all containers to end; returns when the rest is to be killed. */
  stopAll(): number {
    const { metadata, spec } = this.pod();
    const grace =
      metadata.deletionGracePeriodSeconds ?? spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_S;
    const killAt = Date.now() + grace * 1000;
    this.stopping = { killAt };
    for (const run of this.sandbox.runs) if (isRunning(run)) void this.terminate(run.name, grace * 1000);
    return killAt;
  }

  /** Tells one container to end, since a probe says so. */
  stopOne(name: string, why: string): void {
    const container = containerOf(this.pod(), name);
    const probe = container?.livenessProbe ?? container?.startupProbe;
    const grace =
      probe?.terminationGracePeriodSeconds ??
      this.pod().spec.terminationGracePeriodSeconds ??
      DEFAULT_GRACE_S;
    this.containers[name] = { killAt: Date.now() + grace * 1000 };
    this.tell('Normal', 'Killing', `Container ${name}: ${why}; it will be restarted`);
    void this.terminate(name, grace * 1000);
  }

  private async terminate(name: string, graceMs: number): Promise<void> {
    const pod = this.pod();
    const hook = containerOf(pod, name)?.lifecycle?.preStop;
    if (pod.metadata.deletionTimestamp) this.tell('Normal', 'Killing', `Stopping container ${name}`);
    if (hook?.exec?.command && graceMs > 0) {
      const { exitCode, output } = await this.sandbox
        .run(name, hook.exec.command, graceMs)
        .catch((error) => ({ exitCode: -1, output: messageOf(error) }));
      if (exitCode !== 0) this.tell('Warning', 'FailedPreStopHook', `PreStopHook failed: ${output}`);
    } else if (hook?.sleep) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(hook.sleep!.seconds * 1000, graceMs)));
    }
    await this.sandbox.signal(name, 'SIGTERM');
  }
}

/** A container of a pod by name, those that initialise included. */
export function containerOf({ spec }: Pod, name: string): Container | undefined {
  return [...spec.containers, ...(spec.initContainers ?? [])].find((one) => one.name === name);
}
