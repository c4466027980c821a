import type { Container } from '@pgherd/kube';
import type { TellEvent } from './context.ts';
import { Prober } from './probes.ts';
import type { Sandbox } from './sandbox.ts';
import type { ProbeResult } from './types.ts';

/** The probes of a pod's running containers. */
export class ProberSet {
  private readonly probers = new Map<string, Prober>();
  private readonly sandbox: Sandbox;
  private readonly tell: TellEvent;
  private readonly changed: () => void;

  constructor(sandbox: Sandbox, tell: TellEvent, changed: () => void) {
    this.sandbox = sandbox;
    this.tell = tell;
    this.changed = changed;
  }

  get results(): Record<string, ProbeResult> {
    return Object.fromEntries([...this.probers].map(([name, prober]) => [name, { ...prober.result }]));
  }

  /** Begins to probe a container that has just started. */
  start(container: Container | undefined): void {
    const { ip } = this.sandbox;
    if (!container || !ip) return;
    const { name, startupProbe, readinessProbe, livenessProbe } = container;
    if (!(startupProbe || readinessProbe || livenessProbe)) return;
    this.stop(name);
    const prober = new Prober(
      container,
      { ip, exec: (command, timeoutMs) => this.sandbox.run(name, command, timeoutMs) },
      this.changed,
      (kind, why) =>
        this.tell('Warning', 'Unhealthy', `${kind[0]!.toUpperCase()}${kind.slice(1)} probe failed: ${why}`),
    );
    this.probers.set(name, prober);
  }

  stop(name: string): void {
    this.probers.get(name)?.stop();
    this.probers.delete(name);
  }

  stopAll(): void {
    for (const name of [...this.probers.keys()]) this.stop(name);
  }
}
