/** Tables: what `kubectl get` shows. */
import { age } from './duration.ts';
import { jsonPathValues } from './jsonpath.ts';
import { BUILTIN_COLUMNS } from './table-columns.ts';
import { isObject, type KubeObject, type Obj, type PrinterColumn, type Resource } from './types.ts';

/** One column: its definition, and the cell of an object. */
export interface Column {
  name: string;
  type: string;
  format?: string;
  description?: string;
  priority?: number;
  cell: (object: KubeObject, nowMs: number) => unknown;
}

const NAME: Column = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name must be unique within a namespace.',
  cell: (object) => object.metadata.name,
};
const AGE: Column = {
  name: 'Age',
  type: 'string',
  description: 'Time since creation.',
  cell: (object, nowMs) => age(object.metadata.creationTimestamp, nowMs),
};

/** Those of a Scale, which is a view of another object. */
const SCALE: Column[] = [
  NAME,
  { name: 'Desired', type: 'integer', cell: ({ spec }) => (spec as Obj).replicas },
  { name: 'Available', type: 'integer', cell: ({ status }) => (status as Obj).replicas },
  AGE,
];

/** The columns of a resource. */
function columnsOf(resource: Resource): Column[] {
  if (resource.custom) return [NAME, ...resource.custom.columns.map(customColumn)];
  const own = BUILTIN_COLUMNS[resource.storage];
  if (!own) return [NAME, AGE];
  const has = (...names: string[]) => own.some(({ name }) => names.includes(name));
  // Events tell their names last, and only when asked for everything.
  return [...(has('Name') ? [] : [NAME]), ...own, ...(has('Age', 'Created At', 'Last Seen') ? [] : [AGE])];
}

function customColumn(column: PrinterColumn): Column {
  return {
    name: column.name,
    type: column.type,
    format: column.format,
    description: column.description,
    priority: column.priority,
    cell: (object, nowMs) => customCell(jsonPathValues(object, column.jsonPath), column.type, nowMs),
  };
}

function customCell(values: unknown[], type: string, nowMs: number): unknown {
  if (values.length === 0 || values[0] === null) return null;
  if (type === 'date') return age(values[0], nowMs);
  const shown = values.map((value) =>
    isObject(value) || Array.isArray(value) ? JSON.stringify(value) : value,
  );
  if (shown.length > 1) return shown.join(',');
  const [value] = shown;
  if (type === 'integer' || type === 'number') return typeof value === 'number' ? value : Number(value);
  return type === 'boolean' ? value : String(value);
}

/** How rows carry their objects: all of it, only metadata, or nothing. */
export type IncludeObject = 'Object' | 'Metadata' | 'None';

/** A Table of objects; watch events leave out the definitions after the first. */
export function tableOf(
  resource: Resource,
  objects: KubeObject[],
  metadata: Obj,
  include: IncludeObject,
  nowMs: number,
  withDefinitions = true,
): Obj {
  const columns = objects[0]?.kind === 'Scale' ? SCALE : columnsOf(resource);
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: withDefinitions
      ? columns.map(({ name, type, format, description, priority }) => ({
          name,
          type,
          format: format ?? '',
          description: description ?? '',
          priority: priority ?? 0,
        }))
      : null,
    rows: objects.map((object) => ({
      cells: columns.map((column) => column.cell(object, nowMs) ?? null),
      ...(include === 'None' ? {} : { object: rowObject(object, include) }),
    })),
  };
}

function rowObject(object: KubeObject, include: IncludeObject): Obj {
  if (include === 'Object') return object;
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}
