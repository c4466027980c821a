import type { Client } from './client.ts';
import type { KubeObject } from './objects.ts';
import type { Log } from './types.ts';

export interface EventRecorderOptions {
  log?: Log;
  /** Which one of several of this component: a pod's name. */
  instance?: string;
}

export interface EventRecorder {
  /** Records; never throws and never waits. The same again within ten minutes only raises the count. */
  (object: KubeObject, type: 'Normal' | 'Warning', reason: string, message: string): void;
  /** Resolves when all that was recorded is sent (or given up). */
  flush(): Promise<void>;
}

export declare function createEventRecorder(
  client: Client,
  component: string,
  options?: EventRecorderOptions,
): EventRecorder;
