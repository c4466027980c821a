import * as http from 'node:http';
import * as https from 'node:https';
import { connect } from 'node:net';
import type { Container, Probe } from '@pgherd/kube';
import type { ProbeResult } from './types.ts';

/** How a prober reaches its container. */
export interface ProbeTarget {
  ip: string;
  exec(command: string[], timeoutMs: number): Promise<{ exitCode: number; output: string }>;
}

type Kind = 'startup' | 'readiness' | 'liveness';

const MAX_OUTPUT = 1024;

/** Probes one run of one container until told to stop. */
export class Prober {
  readonly result: ProbeResult;
  private readonly container: Container;
  private readonly target: ProbeTarget;
  private readonly onChange: (result: ProbeResult) => void;
  private readonly onUnhealthy: (kind: Kind, why: string) => void;
  private readonly timers = new Map<Kind, NodeJS.Timeout>();
  private readonly agent = new https.Agent({ rejectUnauthorized: false, maxCachedSessions: 4 });
  private stopped = false;

  constructor(
    container: Container,
    target: ProbeTarget,
    onChange: (result: ProbeResult) => void,
    onUnhealthy: (kind: Kind, why: string) => void,
  ) {
    this.container = container;
    this.target = target;
    this.onChange = onChange;
    this.onUnhealthy = onUnhealthy;
    this.result = { started: !container.startupProbe, ready: !container.readinessProbe };
    if (container.startupProbe) this.run('startup', container.startupProbe);
    else this.begin();
  }

  stop(): void {
    this.stopped = true;
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.agent.destroy();
  }

  private begin(): void {
    const { readinessProbe, livenessProbe } = this.container;
    if (readinessProbe) this.run('readiness', readinessProbe);
    if (livenessProbe) this.run('liveness', livenessProbe);
  }

  private run(kind: Kind, probe: Probe): void {
    const period = (probe.periodSeconds ?? 10) * 1000;
    let successes = 0;
    let failures = 0;
    const step = async (): Promise<void> => {
      const why = await this.attempt(probe);
      if (this.stopped) return;
      if (why === undefined) {
        failures = 0;
        successes++;
        if (successes >= (probe.successThreshold ?? 1) && this.succeeded(kind)) return;
      } else {
        successes = 0;
        failures++;
        this.onUnhealthy(kind, why);
        if (failures >= (probe.failureThreshold ?? 3) && this.failed(kind, why)) return;
      }
      next(period);
    };
    const next = (wait: number): void => {
      this.timers.set(
        kind,
        setTimeout(() => void step(), wait),
      );
    };
    next((probe.initialDelaySeconds ?? 0) * 1000);
  }

  /** True when this probe has done its work. */
  private succeeded(kind: Kind): boolean {
    if (kind === 'startup') {
      this.set({ started: true });
      this.begin();
      return true;
    }
    if (kind === 'readiness') this.set({ ready: true });
    return false;
  }

  private failed(kind: Kind, why: string): boolean {
    if (kind === 'readiness') {
      this.set({ ready: false });
      return false;
    }
    this.set({ failed: `${kind} probe failed: ${why}` });
    return true;
  }

  private set(change: Partial<ProbeResult>): void {
    const before = JSON.stringify(this.result);
    Object.assign(this.result, change);
    if (JSON.stringify(this.result) !== before) this.onChange(this.result);
  }

  /** Undefined for success, else why not. */
  private async attempt(probe: Probe): Promise<string | undefined> {
    const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
    try {
      if (probe.httpGet) return await this.http(probe.httpGet, timeoutMs);
      if (probe.tcpSocket)
        return await tcp(probe.tcpSocket.host ?? this.target.ip, this.port(probe.tcpSocket.port), timeoutMs);
      if (!probe.exec) return 'this kind of probe is not supported';
      const { exitCode, output } = await this.target.exec(probe.exec.command ?? [], timeoutMs);
      return exitCode === 0 ? undefined : output.slice(0, MAX_OUTPUT) || `exit code ${exitCode}`;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  private port(port: number | string): number {
    if (typeof port === 'number') return port;
    const named = this.container.ports?.find(({ name }) => name === port)?.containerPort;
    return named ?? Number(port);
  }

  private http(get: NonNullable<Probe['httpGet']>, timeoutMs: number): Promise<string | undefined> {
    const secure = get.scheme === 'HTTPS';
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    const request = (secure ? https : http).request(
      {
        host: get.host ?? this.target.ip,
        port: this.port(get.port),
        path: get.path ?? '/',
        agent: secure ? this.agent : undefined,
        headers: {
          'user-agent': 'kube-probe/pgherd',
          connection: 'close',
          ...Object.fromEntries((get.httpHeaders ?? []).map(({ name, value }) => [name, value])),
        },
      },
      (answer) => {
        answer.resume();
        const code = answer.statusCode ?? 0;
        resolve(code >= 200 && code < 400 ? undefined : `HTTP probe failed with statuscode: ${code}`);
      },
    );
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    request.on('error', (error) => resolve(error.message || String(error)));
    request.end();
    return promise.finally(() => clearTimeout(timer));
  }
}

function tcp(host: string, port: number, timeoutMs: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (result: string | undefined): void => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(timeoutMs, () => end(`no connection within ${timeoutMs} ms`));
    socket.once('connect', () => end(undefined));
    socket.once('error', (error) => end(error.message));
  });
}
