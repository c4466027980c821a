/** What the tests of this package share. */
import type { Cluster, ClusterSpec } from './index.ts';
import type { Rule } from './schema.ts';
import type { StructuralSchema } from './structural.ts';

/** A valid Cluster with `spec` on top of the least that is needed. */
export function cluster(spec: Partial<ClusterSpec> = {}, name = 'demo'): Cluster {
  return {
    apiVersion: 'pgherd.io/v1',
    kind: 'Cluster',
    metadata: { name, namespace: 'default' },
    spec: { storage: { size: '10Gi' }, ...spec },
  };
}

export interface PlacedSchema {
  path: string;
  schema: StructuralSchema;
  /** True below a plain list: no identity there, so no old value. */
  inList: boolean;
}

/** Every schema within `schema`, itself included. */
export function everySchema(schema: StructuralSchema, path = '', inList = false): PlacedSchema[] {
  const fields = Object.entries(schema.properties ?? {});
  return [
    { path, schema, inList },
    ...fields.flatMap(([name, field]) => everySchema(field, path === '' ? name : `${path}.${name}`, inList)),
    ...(schema.items
      ? everySchema(schema.items, `${path}[]`, inList || schema['x-kubernetes-list-type'] !== 'map')
      : []),
    ...(schema.additionalProperties ? everySchema(schema.additionalProperties, `${path}.*`, inList) : []),
  ];
}

export function rulesOf({ schema }: PlacedSchema): Rule[] {
  return schema['x-kubernetes-validations'] ?? [];
}
