/** Unknown fields of built-in kinds. */
import type { KubeObject, Resource } from '../types.ts';

/** Removes, in place, fields that the kind does not have; returns their paths. */
export function unknownFields(_object: KubeObject, _resource: Resource): string[] {
  return [];
}
