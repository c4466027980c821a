/** Server-side apply. */
import type { WriteContext } from './context.ts';
import { mergePatch } from './patch.ts';
import { badRequest } from './status.ts';
import { clone, isObject, type KubeObject } from './types.ts';
import type { Writer } from './writer.ts';

/** Applies a configuration: creates the object or merges into it. */
export function apply(
  writer: Writer,
  context: WriteContext,
  body: unknown,
  _force: boolean,
  _nowMs: number,
): { object: KubeObject; created: boolean } {
  if (!isObject(body)) throw badRequest('the apply configuration must be an object');
  const old = writer.store.get(context.resource.storage, context.namespace, context.name ?? '');
  if (!old) return { object: writer.create(context, body), created: true };
  return { object: writer.replace(context, old, clone(mergePatch(old, body)) as KubeObject), created: false };
}
