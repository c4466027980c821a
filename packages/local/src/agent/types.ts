import type { Pod } from '@pgherd/kube';
import type { ContainerRecord } from '../shim/protocol.ts';

export interface Problem {
  /** As the kubelet words it: ErrImagePull, CreateContainerConfigError, ... */
  reason: string;
  message: string;
}

/** What probes have found about the present run of a container. */
export interface ProbeResult {
  /** The startup probe has succeeded, or there is none. */
  started: boolean;
  ready: boolean;
  /** Why it must be restarted, when startup or liveness probe says so. */
  failed?: string;
}

/** All that is known about a pod on this node: the input of every decision about it. */
export interface PodFacts {
  pod: Pod;
  nodeIP: string;
  sandbox: { state: 'none' | 'dead' } | { state: 'alive'; ip: string; createdAt: string };
  /** Oldest first, at most two of each container. */
  runs: ContainerRecord[];
  probes: Record<string, ProbeResult>;
  /** What keeps a container from being started, by its name. */
  problems: Record<string, Problem>;
  /** What keeps the whole pod from being started. */
  podProblem?: Problem;
  /** Until when a crashed container rests, in milliseconds since 1970. */
  restUntil: Record<string, number>;
  /** When its containers were first told to stop, and until when they may take. */
  stopping?: { killAt: number };
  /** Containers that were told to stop for their own sake. */
  stoppingContainers: Record<string, { killAt: number }>;
  now: number;
}

export type Action =
  | { do: 'prepare' }
  | { do: 'sandbox' }
  | { do: 'start'; container: string; attempt: number; init: boolean }
  /** The whole pod: preStop hooks, then SIGTERM. */
  | { do: 'stop' }
  | { do: 'stopContainer'; container: string; why: string }
  | { do: 'kill'; container: string }
  | { do: 'end' }
  | { do: 'finish' }
  /** Look again then. */
  | { do: 'wait'; until: number };
