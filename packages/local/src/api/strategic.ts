/** Strategic merge patch. */
import { mergePatch } from './patch.ts';
import type { KubeObject, Resource } from './types.ts';

/** The object with a strategic merge patch applied. */
export function strategicMergePatch(object: KubeObject, patch: unknown, _resource: Resource): KubeObject {
  return mergePatch(object, patch) as KubeObject;
}
