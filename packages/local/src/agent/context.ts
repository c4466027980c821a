import type { Cache, Client, EventRecorder, Log, Pod } from '@pgherd/kube';
import type { CgroupRoots } from '../cgroup/groups.ts';
import type { StateLayout } from '../state.ts';
import type { ObjectWatcher } from './objects.ts';

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

/** Tells of something that happened to a pod. */
export type TellEvent = (type: 'Normal' | 'Warning', reason: string, message: string) => void;

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
