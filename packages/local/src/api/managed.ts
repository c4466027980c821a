/** managedFields: who set which field. */
import type { WriteContext } from './context.ts';
import { fromFieldsV1, type Leaves, leavesOf, sameLeaf, toFieldsV1 } from './fields.ts';
import { apiVersionOf } from './registry.ts';
import { builtinSchema } from './schema/builtin.ts';
import {
  type KubeObject,
  type ManagedFieldsEntry,
  type Obj,
  type Resource,
  type Schema,
  timestamp,
} from './types.ts';

/** Objects that one writer renews all the time; nobody applies them, and their history would only cost. */
const UNTRACKED = new Set(['leases.coordination.k8s.io', 'events']);

/** The schema that decides how a resource's lists and maps merge. */
export function mergeSchema(resource: Resource): Schema | undefined {
  return resource.custom?.schema ?? builtinSchema(resource.group, resource.version, resource.kind);
}

/** The part of an object that a write through a subresource can own. */
export function partOf(context: WriteContext): 'all' | 'main' | 'status' {
  if (context.subresource === 'status') return 'status';
  return context.resource.status ? 'main' : 'all';
}

/** Records in `object` what an update by the context's manager changed. */
export function trackUpdate(
  context: WriteContext,
  object: KubeObject,
  old: KubeObject | undefined,
  nowMs: number,
): void {
  if (UNTRACKED.has(context.resource.storage)) {
    delete object.metadata.managedFields;
    return;
  }
  const schema = mergeSchema(context.resource);
  const part = partOf(context);
  const after = leavesOf(object as unknown as Obj, schema, part);
  const before: Leaves = old ? leavesOf(old as unknown as Obj, schema, part) : new Map();
  const changed = new Set<string>();
  for (const [path, value] of after)
    if (!before.has(path) || !sameLeaf(before.get(path), value)) changed.add(path);
  const removed = [...before.keys()].filter((path) => !after.has(path));
  const entries = object.metadata.managedFields ?? [];
  object.metadata.managedFields = withUpdate(entries, context, changed, removed, nowMs);
  if (object.metadata.managedFields.length === 0) delete object.metadata.managedFields;
}

function withUpdate(
  entries: ManagedFieldsEntry[],
  context: WriteContext,
  changed: Set<string>,
  removed: string[],
  nowMs: number,
): ManagedFieldsEntry[] {
  if (changed.size === 0 && removed.length === 0) return entries;
  const gone = new Set([...changed, ...removed]);
  const result: ManagedFieldsEntry[] = [];
  let own: ManagedFieldsEntry | undefined;
  for (const entry of entries) {
    if (isEntryOf(entry, context, 'Update')) own = entry;
    else {
      const left = without(entry, gone);
      if (left) result.push(left);
    }
  }
  const paths = own ? fromFieldsV1(own.fieldsV1) : new Set<string>();
  for (const path of removed) paths.delete(path);
  for (const path of changed) paths.add(path);
  if (paths.size > 0) result.push(entryOf(context, 'Update', paths, nowMs));
  return result;
}

export function isEntryOf(
  entry: ManagedFieldsEntry,
  context: WriteContext,
  operation: 'Apply' | 'Update',
): boolean {
  return (
    entry.manager === context.manager &&
    entry.operation === operation &&
    (entry.subresource ?? '') === (context.subresource ?? '')
  );
}

/** An entry without some paths; undefined when nothing is left of it, the same object when it had none of them. */
export function without(entry: ManagedFieldsEntry, gone: Set<string>): ManagedFieldsEntry | undefined {
  const paths = fromFieldsV1(entry.fieldsV1);
  const left = [...paths].filter((path) => !gone.has(path));
  if (left.length === paths.size) return entry;
  return left.length ? { ...entry, fieldsV1: toFieldsV1(left) } : undefined;
}

export function entryOf(
  context: WriteContext,
  operation: 'Apply' | 'Update',
  paths: Iterable<string>,
  nowMs: number,
): ManagedFieldsEntry {
  return {
    manager: context.manager,
    operation,
    apiVersion: apiVersionOf(context.resource),
    time: timestamp(nowMs),
    fieldsType: 'FieldsV1',
    fieldsV1: toFieldsV1(paths),
    ...(context.subresource ? { subresource: context.subresource } : {}),
  };
}
