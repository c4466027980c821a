import type { Client } from './client.ts';
import type { Kind } from './kinds.ts';
import type { KubeObject } from './objects.ts';
import type { WriteOptions } from './types.ts';

export interface EnsureOptions extends WriteOptions {
  /**
   * Paths (`data`, `spec.template.spec.volumes`) where the object must hold exactly what is desired; elsewhere
   * what others added stays. `data` and `rules` are always exact.
   */
  exact?: string[];
}

export type Ensured = 'created' | 'updated' | 'unchanged';

export declare function ensure<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  desired: T,
  current?: T,
  options?: EnsureOptions,
): Promise<{ outcome: Ensured; object: T }>;
