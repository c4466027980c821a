/** What this process knows of a cluster beyond the API: its own deletions that caches may not show yet. */
import type { SpecProblem } from './facts.ts';
import type { Moving } from './moving.ts';

/** `reason`: of the Operation that looked. */
export interface Verified {
  good: boolean;
  reason: string;
  message: string;
}

export interface ClusterMemory {
  uid: string;
  highestSerial: number;
  /** UIDs of objects whose deletion was accepted. */
  deleted: Set<string>;
  /** Names of first backups that were made. */
  asked: Set<string>;
  /** The version of the Lease that was seen last, and since when (performance.now()). */
  lease?: { version: string | undefined; since: number };
  /** A move of leadership that is under way. */
  moving?: Moving | undefined;
  /** Its namespace is being deleted: nothing can be made there any more. */
  namespaceGoes?: boolean;
  /** How the last proof of one of its backups ended. */
  verified?: Verified;
  /** What was found wrong with the spec of this generation: looking costs more than all else of a steady look. */
  problems?: { generation: number | undefined; found: SpecProblem[] };
}

export function createMemory(): {
  of(key: string, uid: string): ClusterMemory;
  peek(key: string): ClusterMemory | undefined;
  forget(key: string): void;
} {
  const clusters = new Map<string, ClusterMemory>();
  return {
    of(key, uid) {
      let memory = clusters.get(key);
      // Deleted and made again under the same name: another cluster.
      if (memory?.uid !== uid) {
        memory = { uid, highestSerial: 0, deleted: new Set(), asked: new Set() };
        clusters.set(key, memory);
      }
      return memory;
    },
    peek: (key) => clusters.get(key),
    forget: (key) => void clusters.delete(key),
  };
}
