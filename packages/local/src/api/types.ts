/** The shapes that every part of the API server speaks in. */

import type { ObjectMeta } from '@pgherd/kube';

/** A JSON object whose fields are not known in advance. */
export type Obj = Record<string, unknown>;

export interface ManagedFieldsEntry {
  manager: string;
  operation: 'Apply' | 'Update';
  apiVersion: string;
  time?: string;
  fieldsType: 'FieldsV1';
  fieldsV1: Obj;
  subresource?: string;
}

/** What the server itself fills in is always there. */
export interface Meta extends ObjectMeta {
  uid: string;
  creationTimestamp: string;
  managedFields?: ManagedFieldsEntry[];
}

/** A stored object. Objects in the store are never changed in place: a write replaces them. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: Meta;
  [field: string]: unknown;
}

/** Who asks. */
export interface User {
  name: string;
  uid?: string;
  groups: string[];
  extra?: Record<string, string[]>;
}

/** One version of one resource, as the outside sees it. */
export interface Resource {
  group: string;
  version: string;
  plural: string;
  singular: string;
  kind: string;
  listKind: string;
  namespaced: boolean;
  shortNames: string[];
  categories: string[];
  /** Whether `/status` exists; then the main endpoint cannot change status. */
  status: boolean;
  /** Paths behind `/scale`, when it exists. */
  scale?: { specPath: string[]; statusPath: string[]; selectorPath?: string[] };
  /** Other subresources, for discovery: name, kind, group, version and verbs. */
  subresources?: { name: string; kind: string; group?: string; version?: string; verbs: string[] }[];
  verbs: string[];
  /** The key in the store: `plural` or `plural.group`; the same for all versions. */
  storage: string;
  /** Field paths that may be used in a field selector, besides metadata.name and metadata.namespace. */
  selectable: string[];
  /** PUT of a missing object creates it. */
  putCreates: boolean;
  /** PUT must carry a resourceVersion. */
  putNeedsVersion: boolean;
  /** How `generation` moves: on spec changes, on spec or annotation changes, on anything but metadata and status. */
  generation: 'none' | 'spec' | 'spec+annotations' | 'all';
  /** DELETE answers with the object rather than a Status. */
  deleteReturnsObject: boolean;
  /** Custom resources carry their definition. */
  custom?: CustomVersion;
}

/** What a CustomResourceDefinition says about one version. */
export interface CustomVersion {
  crdName: string;
  crdUid: string;
  schema: Schema;
  preserveRoot: boolean;
  columns: PrinterColumn[];
  established: boolean;
}

export interface PrinterColumn {
  name: string;
  type: string;
  format?: string;
  description?: string;
  priority?: number;
  jsonPath: string;
}

/** A structural schema, as in a CustomResourceDefinition. */
export interface Schema {
  type?: string;
  format?: string;
  description?: string;
  title?: string;
  nullable?: boolean;
  default?: unknown;
  enum?: unknown[];
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  items?: Schema;
  required?: string[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: boolean;
  exclusiveMaximum?: boolean;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  minProperties?: number;
  maxProperties?: number;
  allOf?: Schema[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  not?: Schema;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
  'x-kubernetes-embedded-resource'?: boolean;
  'x-kubernetes-int-or-string'?: boolean;
  'x-kubernetes-list-type'?: string;
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-map-type'?: string;
  'x-kubernetes-patch-merge-key'?: string;
  'x-kubernetes-patch-strategy'?: string;
  'x-kubernetes-validations'?: ValidationRule[];
  [extension: string]: unknown;
}

export interface ValidationRule {
  rule: string;
  message?: string;
  messageExpression?: string;
  reason?: string;
  fieldPath?: string;
  optionalOldSelf?: boolean;
}

/** Whether a value is a JSON object (not an array, not null). */
export function isObject(value: unknown): value is Obj {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value at a path of field names, or undefined. */
export function at(value: unknown, ...path: string[]): unknown {
  let here = value;
  for (const step of path) {
    if (!isObject(here)) return undefined;
    here = here[step];
  }
  return here;
}

/** The object at a path, or an empty one that is not attached. */
export function objectAt(value: unknown, ...path: string[]): Obj {
  const found = at(value, ...path);
  return isObject(found) ? found : {};
}

/** The array of objects at a path; anything else there counts as none. */
export function objectsAt(value: unknown, ...path: string[]): Obj[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found.filter(isObject) : [];
}

/** The string at a path, or undefined. */
export function stringAt(value: unknown, ...path: string[]): string | undefined {
  const found = at(value, ...path);
  return typeof found === 'string' ? found : undefined;
}

/** Deep equality of JSON values; an undefined field equals a missing one. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, index) => same(item, b[index]));
  }
  if (!isObject(a) || !isObject(b)) return false;
  for (const key of Object.keys(a)) if (!same(a[key], b[key])) return false;
  for (const key of Object.keys(b)) if (b[key] !== undefined && a[key] === undefined) return false;
  return true;
}

/** A deep copy of a JSON value. */
export function clone<T>(value: T): T {
  if (Array.isArray(value)) return value.map(clone) as T;
  if (!isObject(value)) return value;
  const copy: Obj = {};
  for (const key of Object.keys(value)) copy[key] = clone(value[key]);
  return copy as T;
}

/** Now, as Kubernetes writes times in metadata: whole seconds, UTC. */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
