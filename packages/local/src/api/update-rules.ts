/** What a write keeps of the object before it, and what it has changed. Pure. */
import type { WriteContext } from './context.ts';
import { clone, isObject, type KubeObject, type Meta, type Obj, same } from './types.ts';

/** Leaves out maps and lists that hold nothing, as the API server does. */
export function dropEmptyMaps(metadata: Meta): void {
  for (const key of ['labels', 'annotations'] as const) {
    const map = metadata[key];
    if (!isObject(map)) continue;
    if (Object.keys(map).length === 0) delete metadata[key];
  }
  for (const key of ['finalizers', 'ownerReferences', 'managedFields'] as const)
    if (metadata[key]?.length === 0) delete metadata[key];
}

/** A new object comes without a status. */
export function dropStatus(object: KubeObject, custom: boolean): void {
  // Namespaces and nodes of a booting cluster come with a status; nothing else does.
  if (custom || !KEEPS_STATUS.has(object.kind)) delete object.status;
}

const KEEPS_STATUS = new Set(['Node', 'CustomResourceDefinition']);

/** What no client sets: an update has it from the object before. */
export function keepSystemFields(object: KubeObject, old: KubeObject): void {
  const { metadata } = object;
  const from = old.metadata;
  metadata.uid = from.uid;
  metadata.name = from.name;
  metadata.creationTimestamp = from.creationTimestamp;
  metadata.resourceVersion = from.resourceVersion;
  delete (metadata as unknown as Obj).selfLink;
  for (const key of [
    'namespace',
    'generation',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'generateName',
  ] as const) {
    if (from[key] === undefined) delete metadata[key];
    else (metadata as unknown as Obj)[key] = from[key];
  }
  if (metadata.managedFields === undefined) metadata.managedFields = from.managedFields;
  if (metadata.managedFields === undefined) delete metadata.managedFields;
}

/** A write of the status changes nothing else. */
export function keepAllButStatus(object: KubeObject, old: KubeObject): void {
  const { status } = object;
  const managedFields = object.metadata.managedFields;
  for (const key of Object.keys(object)) if (!(key in old)) delete object[key];
  Object.assign(object, clone(old), { status });
  object.metadata.managedFields = managedFields;
}

/** An object without what differs at each write. */
export function withoutVersion(object: KubeObject): Obj {
  return {
    ...object,
    metadata: { ...object.metadata, resourceVersion: undefined, managedFields: undefined },
  };
}

/** Whether an update changes nothing, so that the version stays. */
export function unchanged(object: KubeObject, old: KubeObject): boolean {
  return same(withoutVersion(object), withoutVersion(old));
}

/** Whether only the record of who manages what differs. */
export function isChangedManager(object: KubeObject, old: KubeObject): boolean {
  return !same(object.metadata.managedFields, old.metadata.managedFields);
}

/** Whether an update raises the generation. */
export function specChanged(context: WriteContext, object: KubeObject, old: KubeObject): boolean {
  const { resource } = context;
  if (context.subresource === 'status') return false;
  if (resource.custom) {
    // Without a status subresource every change outside metadata counts.
    const strip = ({ metadata: _metadata, status, ...rest }: KubeObject): Obj =>
      resource.status ? rest : { ...rest, status };
    return !same(strip(object), strip(old));
  }
  switch (resource.generation) {
    case 'none':
      return false;
    case 'spec':
      return !same(object.spec, old.spec);
    case 'spec+annotations':
      return !same(object.spec, old.spec) || !same(object.metadata.annotations, old.metadata.annotations);
    case 'all':
      return true;
  }
}
