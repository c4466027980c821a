import type { Log } from './types.ts';

export interface QueueOptions {
  name: string;
  /** Brings the object named by `key` to what it should be. A rejection is logged and tried again with back-off. */
  reconcile: (key: string, signal: AbortSignal) => Promise<{ afterMs?: number } | undefined | void>;
  concurrency?: number;
  minBackoffMs?: number;
  maxBackoffMs?: number;
  log?: Log;
  /** Told of each failure, for metrics. */
  onError?: (key: string, error: unknown, failures: number) => void;
}

export interface Queue {
  /** Have `key` reconciled soon: once, however often it is added before its turn; again if it is running. */
  add(key: string): void;
  /** Have `key` reconciled after `ms`, or earlier if something adds it; the earliest of several wins. */
  addAfter(key: string, ms: number): void;
  start(signal: AbortSignal): void;
  /** Resolves when nothing waits for its turn and nothing runs (keys waiting for a time do not count). */
  idle(): Promise<void>;
  readonly length: number;
}

export declare function createQueue(options: QueueOptions): Queue;
