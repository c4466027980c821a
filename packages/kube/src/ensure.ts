import type { Client } from './client.ts';
import { isKubeError, KubeError } from './errors.ts';
import type { Kind } from './kinds.ts';
import { differs, merge } from './merge.ts';
import type { KubeObject } from './objects.ts';
import type { WriteOptions } from './types.ts';

export interface EnsureOptions extends WriteOptions {
  /**
   * Dotted paths (`spec.template.spec.volumes`) where the object must hold exactly what is desired; elsewhere
   * what others added stays. `data`, `rules` and `subjects` are always exact.
   */
  exact?: string[];
  /** Read what is there by a list, which needs no right to `get`. */
  listed?: boolean;
}

export type Ensured = 'created' | 'updated' | 'unchanged';

const ALWAYS_EXACT = ['data', 'binaryData', 'rules', 'subjects'];
const ATTEMPTS = 5;

/**
 * Makes an object be as desired: creates it, or updates it by compare-and-swap, or writes nothing when nothing
 * in `desired` differs. A field of `desired` that is null is removed. `current` (from a cache) saves a read;
 * status is never touched.
 */
export async function ensure<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  desired: T,
  current?: T,
  options: EnsureOptions = {},
): Promise<Ensured> {
  return (await ensureObject(client, kind, desired, current, options)).outcome;
}

/** As ensure, with the object as it is afterwards. */
export async function ensureObject<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  desired: T,
  current?: T,
  options: EnsureOptions = {},
): Promise<{ outcome: Ensured; object: T }> {
  const { exact = [], listed, ...write } = options;
  const wanted = plain(desired);
  const paths = [...ALWAYS_EXACT, ...exact];
  let known = current;
  for (let attempt = 1; ; attempt++) {
    known ??= await client[listed ? 'findListed' : 'find'](kind, desired.metadata, {
      signal: options.signal,
      timeoutMs: options.timeoutMs,
    });
    try {
      if (!known)
        return {
          outcome: 'created',
          object: await client.create(kind, merge({}, wanted, paths) as T, write),
        };
      if (!differs(wanted, known, paths)) return { outcome: 'unchanged', object: known };
      const next = merge(known, wanted, paths) as T;
      return { outcome: 'updated', object: await client.update(kind, next, write) };
    } catch (error) {
      // Somebody was faster: their object is the one to compare with.
      if (!isKubeError(error, 'Conflict', 'AlreadyExists', 'NotFound') || attempt >= ATTEMPTS) throw error;
      if (isKubeError(error, 'NotFound') && !known) throw error;
      known = undefined;
    }
    if (options.signal?.aborted)
      throw new KubeError('Aborted', `ensuring ${kind.kind} ${desired.metadata.name}`);
  }
}

/** What of a desired object counts: no status, and stringData as the API stores it. */
function plain<T extends KubeObject>(desired: T): Record<string, unknown> {
  const {
    status: _,
    stringData,
    ...rest
  } = desired as T & { status?: unknown; stringData?: Record<string, string> };
  if (!stringData) return rest;
  const data = { ...(rest as { data?: Record<string, string> }).data };
  for (const [key, value] of Object.entries(stringData)) data[key] = Buffer.from(value).toString('base64');
  return { ...rest, data };
}
