/** From a typebox schema to the structural schema that a CustomResourceDefinition carries. */
import type { Rule } from './schema.ts';

export interface StructuralSchema {
  type?: string;
  description?: string;
  properties?: Record<string, StructuralSchema>;
  required?: string[];
  items?: StructuralSchema;
  additionalProperties?: StructuralSchema;
  enum?: string[];
  anyOf?: { type: string }[];
  default?: unknown;
  format?: string;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  minProperties?: number;
  maxProperties?: number;
  'x-kubernetes-int-or-string'?: boolean;
  'x-kubernetes-list-type'?: string;
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-validations'?: Rule[];
}

/** Keywords that mean the same in both and are copied as they are, in this order. */
const COPIED = [
  'description',
  'type',
  'format',
  'enum',
  'anyOf',
  'default',
  'pattern',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'x-kubernetes-int-or-string',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-validations',
] as const;

/** A typebox schema seen as plain JSON schema, as far as our shapes go. */
interface PlainSchema extends Omit<StructuralSchema, 'additionalProperties' | 'properties' | 'items'> {
  properties?: Record<string, PlainSchema>;
  items?: PlainSchema;
  additionalProperties?: PlainSchema | boolean;
}

/** The structural schema that accepts what the typebox `schema` accepts. Keywords only typebox knows are left out. */
export function structural(schema: object): StructuralSchema {
  const plain = schema as PlainSchema;
  const result: Record<string, unknown> = {};
  for (const keyword of COPIED) {
    if (plain[keyword] !== undefined) result[keyword] = plain[keyword];
  }
  if (plain.properties) {
    const fields = Object.entries(plain.properties);
    result.properties = Object.fromEntries(fields.map(([name, field]) => [name, structural(field)]));
    if (plain.required?.length) result.required = [...plain.required];
  }
  if (plain.items) result.items = structural(plain.items);
  // `false` only closes the object for typebox: a structural schema is closed by pruning and strict validation.
  if (typeof plain.additionalProperties === 'object') {
    result.additionalProperties = structural(plain.additionalProperties);
  }
  return result as StructuralSchema;
}

/** The schema of the field at `path` below `schema`, if it is known; list items are numbered. */
export function schemaAt(schema: StructuralSchema, path: readonly string[]): StructuralSchema | undefined {
  let current: StructuralSchema | undefined = schema;
  for (const step of path) {
    current = current?.properties?.[step] ?? current?.additionalProperties ?? current?.items;
  }
  return current;
}
