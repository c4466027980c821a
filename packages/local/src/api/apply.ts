/** Server-side apply: a manager states what it wants; conflicts with other managers are named. */
import type { WriteContext } from './context.ts';
import { prune } from './crd/structural.ts';
import {
  fieldOf,
  fromFieldsV1,
  ITEM,
  isWithin,
  itemStep,
  type Leaves,
  leavesOf,
  listKind,
  metaSchema,
  sameLeaf,
  showPath,
  stepsOf,
} from './fields.ts';
import { entryOf, isEntryOf, mergeSchema, partOf, without } from './managed.ts';
import { apiVersionOf } from './registry.ts';
import { unknownFields } from './schema/strict.ts';
import { ApiError, badRequest, conflict } from './status.ts';
import {
  clone,
  isObject,
  type KubeObject,
  type ManagedFieldsEntry,
  type Obj,
  type Schema,
  same,
} from './types.ts';
import type { Writer } from './writer.ts';

/** Applies a configuration: creates the object or merges into it. */
export function apply(
  writer: Writer,
  context: WriteContext,
  body: unknown,
  force: boolean,
  nowMs: number,
): { object: KubeObject; created: boolean } {
  const config = checkedConfig(context, body);
  const schema = mergeSchema(context.resource);
  const leaves = leavesOf(config as unknown as Obj, schema, partOf(context));
  const own = entryOf(context, 'Apply', leaves.keys(), nowMs);
  const old = writer.store.get(context.resource.storage, context.namespace, context.name ?? '');
  if (!old) {
    if (config.metadata.uid)
      throw conflict(
        context.resource,
        context.name ?? '',
        `uid mismatch: the provided object specified uid ${config.metadata.uid}, and no existing object was found`,
      );
    return { object: writer.createTracked(context, config, [own]), created: true };
  }
  const others = otherEntries(old, context);
  const disputes = disputesOf(others, leaves, leavesOf(old as unknown as Obj, schema, 'all'));
  if (disputes.length && !force) throw conflictError(disputes);
  const merged = merge(clone(old), config, schema) as KubeObject;
  const next = withoutDropped(merged, old, context, leaves, others, schema);
  next.metadata.resourceVersion = config.metadata.resourceVersion ?? old.metadata.resourceVersion;
  next.metadata.managedFields = newManagers(
    old,
    context,
    others,
    own,
    new Set(disputes.flatMap((one) => one.paths)),
  );
  return { object: writer.replace(context, old, next, false), created: false };
}

function checkedConfig(context: WriteContext, body: unknown): KubeObject {
  if (!isObject(body)) throw badRequest('the apply configuration must be an object');
  const config = body as KubeObject;
  const wanted = apiVersionOf(context.resource);
  if (config.apiVersion !== wanted || config.kind !== context.resource.kind) {
    throw badRequest(
      `the apply configuration must have apiVersion ${JSON.stringify(wanted)} and kind ${JSON.stringify(context.resource.kind)}`,
    );
  }
  if (!isObject(config.metadata)) config.metadata = {} as KubeObject['metadata'];
  config.metadata.name ??= context.name ?? '';
  if (config.metadata.name !== context.name)
    throw badRequest(
      `the name of the object (${config.metadata.name}) does not match the name on the URL (${context.name})`,
    );
  if (config.metadata.managedFields !== undefined) {
    if ((config.metadata.managedFields as unknown[] | null)?.length)
      throw badRequest('metadata.managedFields must be nil');
    delete (config.metadata as Partial<KubeObject['metadata']>).managedFields;
  }
  refuseUnknown(context, config);
  return config;
}

/** Fields that the schema does not have cannot be owned: 500, as Kubernetes answers. */
function refuseUnknown(context: WriteContext, config: KubeObject): void {
  const { resource } = context;
  const unknown = resource.custom
    ? resource.custom.preserveRoot
      ? []
      : prune(clone(config), resource.custom.schema)
    : unknownFields(config, resource);
  if (unknown.length === 0) return;
  const name = context.namespace ? `${context.namespace}/${context.name}` : context.name;
  const list = unknown.map((path) => `.${path}: field not declared in schema`).join(', ');
  throw new ApiError(
    500,
    'InternalError',
    `failed to create typed patch object (${name}; ${apiVersionOf(resource)}, Kind=${resource.kind}): ${list}`,
  );
}

function otherEntries(old: KubeObject, context: WriteContext): ManagedFieldsEntry[] {
  return (old.metadata.managedFields ?? []).filter((entry) => !isEntryOf(entry, context, 'Apply'));
}

interface Dispute {
  entry: ManagedFieldsEntry;
  paths: string[];
}

/** What others own and the configuration wants to be different. */
function disputesOf(others: ManagedFieldsEntry[], wanted: Leaves, live: Leaves): Dispute[] {
  const disputes: Dispute[] = [];
  for (const entry of others) {
    const paths = [...fromFieldsV1(entry.fieldsV1)].filter((path) => {
      const value = wanted.get(path);
      return value !== undefined && value !== ITEM && live.has(path) && !sameLeaf(value, live.get(path));
    });
    if (paths.length) disputes.push({ entry, paths });
  }
  return disputes;
}

function conflictError(disputes: Dispute[]): ApiError {
  const single = disputes.flatMap(({ entry, paths }) =>
    paths.map((path) => {
      const where = entry.subresource ? ` with subresource ${JSON.stringify(entry.subresource)}` : '';
      return {
        entry,
        field: showPath(path),
        message: `conflict with ${JSON.stringify(entry.manager)}${where} using ${entry.apiVersion}`,
      };
    }),
  );
  const texts = disputes.map(({ entry, paths }) => {
    const where = entry.subresource ? ` with subresource ${JSON.stringify(entry.subresource)}` : '';
    const fields = paths.map(showPath);
    return `${JSON.stringify(entry.manager)}${where} using ${entry.apiVersion}: ${fields.length === 1 ? fields[0] : `\n- ${fields.join('\n- ')}`}`;
  });
  const message =
    single.length === 1
      ? `Apply failed with 1 conflict: conflict with ${texts[0]}`
      : `Apply failed with ${single.length} conflicts: conflicts with ${texts.join('\nconflicts with ')}`;
  return new ApiError(409, 'Conflict', message, {
    causes: single.map(({ field, message: text }) => ({
      reason: 'FieldManagerConflict',
      message: text,
      field,
    })),
  });
}

/** The live value with the configuration laid over it: maps and keyed lists merge, all else is replaced. */
function merge(live: unknown, config: unknown, schema: Schema | undefined, isMeta = false): unknown {
  if (isObject(config) && isObject(live) && schema?.['x-kubernetes-map-type'] !== 'atomic') {
    for (const [key, value] of Object.entries(config)) {
      const field = isMeta ? metaSchema(schema, key) : fieldOf(schema, key);
      const atRootMeta = key === 'metadata' && 'apiVersion' in config && 'kind' in config;
      live[key] = key in live ? merge(live[key], value, field, atRootMeta) : clone(value);
    }
    return live;
  }
  if (Array.isArray(config) && Array.isArray(live) && listKind(schema) !== 'atomic')
    return mergeLists(live, config, schema);
  return clone(config);
}

/** Items of the configuration in its order, others after the neighbour they had. */
function mergeLists(live: unknown[], config: unknown[], schema: Schema | undefined): unknown[] {
  const steps = config.map((item) => itemStep(item, schema));
  const items = schema?.items;
  const merged = config.map((item, index) => {
    const existing = live.find((one) => itemStep(one, schema) === steps[index]);
    return existing === undefined ? clone(item) : merge(existing, item, items);
  });
  let place = 0;
  for (const item of live) {
    const index = steps.indexOf(itemStep(item, schema));
    if (index >= 0) place = merged.findIndex((one) => itemStep(one, schema) === steps[index]) + 1;
    else merged.splice(place++, 0, item);
  }
  return merged;
}

/** Removes what this manager applied before, does not apply any more, and nobody else owns. */
function withoutDropped(
  merged: KubeObject,
  old: KubeObject,
  context: WriteContext,
  leaves: Leaves,
  others: ManagedFieldsEntry[],
  schema: Schema | undefined,
): KubeObject {
  const before = (old.metadata.managedFields ?? []).find((entry) => isEntryOf(entry, context, 'Apply'));
  if (!before) return merged;
  const owned = others.flatMap((entry) => [...fromFieldsV1(entry.fieldsV1)]);
  const isOwned = (path: string) => owned.some((one) => isWithin(one, path));
  const dropped = [...fromFieldsV1(before.fieldsV1)].filter((path) => !leaves.has(path) && !isOwned(path));
  // An item goes as a whole; its fields are not looked at one by one.
  const topmost = dropped.filter((path) => !dropped.some((other) => other !== path && isWithin(path, other)));
  for (const path of topmost)
    if (!isItemKey(stepsOf(path))) removePath(merged as unknown as Obj, stepsOf(path), schema);
  return merged;
}

/** Whether a path is the key of an item that stays: without it, the item would be nobody. */
function isItemKey(steps: string[]): boolean {
  const [item, field] = steps.slice(-2);
  if (!item?.startsWith('k:') || !field) return false;
  return field.slice(2) in (JSON.parse(item.slice(2)) as Obj);
}

function removePath(root: unknown, steps: string[], schema: Schema | undefined, depth = 0): void {
  const [step, ...rest] = steps as [string, ...string[]];
  if (step.startsWith('f:')) {
    if (!isObject(root)) return;
    const key = step.slice(2);
    const field = depth === 1 ? metaSchema(schema, key) : fieldOf(schema, key);
    if (rest.length === 0) delete root[key];
    else {
      removePath(root[key], rest, field, depth + 1);
      if (isEmptyNow(root[key])) delete root[key];
    }
    return;
  }
  if (!Array.isArray(root)) return;
  const index = root.findIndex((item) => itemStep(item, schema) === step);
  if (index < 0) return;
  if (rest.length === 0) root.splice(index, 1);
  else removePath(root[index], rest, schema?.items, depth + 1);
}

function isEmptyNow(value: unknown): boolean {
  return Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0;
}

function newManagers(
  old: KubeObject,
  context: WriteContext,
  others: ManagedFieldsEntry[],
  own: ManagedFieldsEntry,
  taken: Set<string>,
): ManagedFieldsEntry[] {
  const before = (old.metadata.managedFields ?? []).find((entry) => isEntryOf(entry, context, 'Apply'));
  // The same statement again leaves the entry as it was, its time included.
  const mine =
    before && same(before.fieldsV1, own.fieldsV1) && before.apiVersion === own.apiVersion ? before : own;
  const rest = others
    .map((entry) => (taken.size ? without(entry, taken) : entry))
    .filter((entry) => entry !== undefined);
  return Object.keys(own.fieldsV1).length ? [mine, ...rest] : rest;
}
