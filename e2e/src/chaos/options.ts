/** What a chaos run is given, and what comes of it. */
import type { FaultKind } from './plan.ts';

export interface ChaosOptions {
  seed: number;
  /** No new episode begins after this, milliseconds. */
  lastsMs: number;
  /** With `required` synchronous replication, or asynchronous: then losses are counted, not judged. */
  mode: 'sync' | 'async';
  kinds?: readonly FaultKind[];
  /** Volumes on file systems of their own, that hang and fill up. Needs root. */
  disks?: boolean;
  /** A repository, and backups in the midst of faults. */
  backups?: boolean;
  /** The first episodes that are left out: to come to the interesting one. */
  skip?: number;
  /** Fields of the Cluster's spec beside those that the run needs. */
  spec?: Record<string, unknown>;
  say(text: string): void;
}

export interface ChaosResult {
  seed: number;
  episodes: number;
  faults: Record<string, number>;
  acknowledged: number;
  reads: number;
  /** Acknowledged and gone, in async. */
  lost: number;
  staleReads: number;
  worstStaleMs: number;
  overlaps: number;
  longestPauseMs: number;
  /** How long the cluster took to be well after an episode, milliseconds. */
  recoveriesMs: number[];
  violations: string[];
}
