import type { Container, Pod } from '@pgherd/kube';
import type { ContainerRecord } from '../shim/protocol.ts';
import type { PodFacts } from './types.ts';

/** Milliseconds since 1970 at which tests take place. */
export const NOW = Date.parse('2030-01-01T00:10:00.000Z');

/** Some seconds before NOW. */
export const ago = (seconds: number): string => new Date(NOW - seconds * 1000).toISOString();

export function podOf(spec: Partial<Pod['spec']> = {}, metadata: Partial<Pod['metadata']> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'a', uid: 'u', ...metadata },
    spec: { containers: [{ name: 'c', image: 'i' }], ...spec },
  };
}

export const container = (name: string, more: Partial<Container> = {}): Container => ({
  name,
  image: 'i',
  ...more,
});

/** A run: of the present sandbox (made 100 s ago) unless it started before. */
export function runOf(
  name: string,
  more: Partial<ContainerRecord> & { end?: number; code?: number; from?: number } = {},
): ContainerRecord {
  const { end, code, from = 50, ...rest } = more;
  return {
    id: `${name}-${rest.attempt ?? 0}`,
    name,
    attempt: 0,
    log: '',
    startedAt: ago(from),
    ...(end === undefined ? {} : { finishedAt: ago(end), exitCode: code ?? 0 }),
    ...rest,
  };
}

/** Facts about a pod whose sandbox lives. */
export function factsOf(pod: Pod, more: Partial<PodFacts> = {}): PodFacts {
  return {
    pod,
    nodeIP: '10.243.1.2',
    sandbox: { state: 'alive', ip: '10.244.1.2', createdAt: ago(100) },
    runs: [],
    probes: {},
    problems: {},
    restUntil: {},
    stoppingContainers: {},
    now: NOW,
    ...more,
  };
}
