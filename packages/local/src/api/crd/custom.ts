/** What happens to a custom resource on its way into the store: prune, default, validate, rules. */
import type { FieldError } from '../status.ts';
import { type CustomVersion, isObject, type KubeObject, type Obj, same } from '../types.ts';
import { celErrors } from './cel.ts';
import { applySchemaDefaults, prune } from './structural.ts';
import { validate } from './validate.ts';

/** Prunes and defaults in place; returns the paths of unknown fields that went. */
export function shapeCustom(object: KubeObject, version: CustomVersion): string[] {
  const unknown = version.preserveRoot ? [] : prune(object, version.schema);
  applySchemaDefaults(object, version.schema);
  return unknown;
}

/**
 * All violations of schema and rules. On update, a violation on a value that did not change is tolerated
 * (ratcheting), except for rules that compare with the old value.
 */
export function customErrors(
  object: KubeObject,
  old: KubeObject | undefined,
  version: CustomVersion,
): FieldError[] {
  const body = withoutMetadata(object);
  const before = old ? withoutMetadata(old) : undefined;
  const broken = validate(body, version.schema);
  const errors = before
    ? broken.filter((error) => !same(valueAt(body, error.field), valueAt(before, error.field)))
    : broken;
  // Rules see only values of the right shape.
  if (errors.length > 0) return errors;
  return celErrors(withMetadata(object), old ? withMetadata(old) : undefined, version.schema);
}

function withoutMetadata(object: KubeObject): Obj {
  // Metadata have rules of their own; that they are there is all a schema can ask.
  return { ...object, metadata: {} };
}

/** Rules at the root may read metadata.name and metadata.generateName, nothing more. */
function withMetadata(object: KubeObject): Obj {
  const { name, generateName } = object.metadata;
  return { ...object, metadata: { name, ...(generateName ? { generateName } : {}) } };
}

/** The value at an error's path such as `spec.list[2].name`. */
function valueAt(root: unknown, path: string): unknown {
  let here = root;
  for (const match of path.matchAll(/[^.[\]]+|\[([^\]]*)\]/g)) {
    const key = match[1] ?? match[0];
    if (Array.isArray(here)) here = here[Number(key)];
    else if (isObject(here)) here = here[key];
    else return undefined;
  }
  return here;
}
