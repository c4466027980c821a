/** Says what is wrong with an object of ours in the words of its fields, without asking an API server. */
import { Settings } from 'typebox/system';
import { Errors } from 'typebox/value';
import type { Cluster } from './cluster/cluster.ts';
import { CLUSTER_DEFINITION, KINDS, type KindDefinition } from './kinds.ts';
import { API_VERSION } from './names.ts';
import { brokenRules } from './rules.ts';
import { closest } from './spelling.ts';
import { type StructuralSchema, schemaAt, structural } from './structural.ts';

/** One thing that is wrong with an object. */
export interface Problem {
  /** Path of the field, for example spec.storage.size. */
  field: string;
  message: string;
  /** What to do about it, where the message does not say so itself. */
  hint?: string;
}

type SchemaError = ReturnType<typeof Errors>[number];

const MAX_ERRORS = 256;

/** Everything that is wrong with `object` as a Cluster: see validateObject. */
export function validateCluster(object: unknown, old?: Cluster): Problem[] {
  return validateObject(CLUSTER_DEFINITION, object, old);
}

/** The kind of ours that `object` says it is; undefined for anybody else's. */
export function definitionOf(object: unknown): KindDefinition | undefined {
  const { apiVersion, kind } = (object ?? {}) as { apiVersion?: unknown; kind?: unknown };
  return apiVersion === API_VERSION ? KINDS.find((known) => known.kind === kind) : undefined;
}

/**
 * Everything that is wrong with `object` as one of the kind; empty when the API would accept it. With `old`, the
 * object it replaces, changes of fields that cannot change are found too.
 */
export function validateObject(definition: KindDefinition, object: unknown, old?: object): Problem[] {
  const schema = structuralOf(definition);
  const errors = schemaErrors(definition, schema, object);
  const unknown = errors.filter((error) => error.keyword === 'additionalProperties');
  const shape = errors.filter((error) => error.keyword !== 'additionalProperties');
  const problems = [
    ...kindProblems(definition, object),
    ...unknown.flatMap((error) => unknownFields(schema, error)),
    ...shape.map((error) => shapeProblem(schema, error)),
  ];
  // Rules presume fields of the right shape, so like the API server we look at them only then.
  return shape.length > 0 ? problems : [...problems, ...ruleProblems(schema, object, old)];
}

function kindProblems(definition: KindDefinition, object: unknown): Problem[] {
  const { apiVersion, kind } = (object ?? {}) as { apiVersion?: unknown; kind?: unknown };
  const problems: Problem[] = [];
  if (typeof apiVersion === 'string' && apiVersion !== API_VERSION) {
    problems.push({
      field: 'apiVersion',
      message: `is '${apiVersion}'`,
      hint: `write apiVersion: ${API_VERSION}`,
    });
  }
  if (typeof kind === 'string' && kind !== definition.kind) {
    problems.push({ field: 'kind', message: `is '${kind}'`, hint: `write kind: ${definition.kind}` });
  }
  return problems;
}

function schemaErrors(definition: KindDefinition, schema: StructuralSchema, object: unknown): SchemaError[] {
  const { maxErrors } = Settings.Get();
  Settings.Set({ maxErrors: MAX_ERRORS });
  try {
    return withoutEchoes(schema, Errors(definition.schema, object));
  } finally {
    Settings.Set({ maxErrors });
  }
}

const structuralSchemas = new Map<KindDefinition, StructuralSchema>();

/** Made once a kind: it costs more than most validations. */
function structuralOf(definition: KindDefinition): StructuralSchema {
  const known = structuralSchemas.get(definition) ?? structural(definition.schema);
  structuralSchemas.set(definition, known);
  return known;
}

/**
 * typebox reports one mistake up to three times: as itself, as a `false` schema, and as additional properties of
 * the object around it. What is left is one error a mistake.
 */
function withoutEchoes(schema: StructuralSchema, errors: SchemaError[]): SchemaError[] {
  const seen = new Set<string>();
  return errors.filter((error) => {
    if (error.keyword === 'boolean') return false;
    if (error.keyword === 'additionalProperties' && mapValues(schema, error.instancePath)) return false;
    // An int-or-string fails as integer, as string and as a whole: the whole is enough.
    if (error.keyword === 'type' && /\/anyOf\/\d+$/.test(error.schemaPath)) return false;
    const key = `${error.instancePath} ${error.keyword}`;
    const isNew = !seen.has(key);
    seen.add(key);
    return isNew;
  });
}

function mapValues(schema: StructuralSchema, pointer: string): boolean {
  return at(schema, pointer)?.additionalProperties !== undefined;
}

const segments = (pointer: string) =>
  pointer
    .split('/')
    .slice(1)
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));

function at(schema: StructuralSchema, pointer: string): StructuralSchema | undefined {
  return schemaAt(schema, segments(pointer));
}

/** `/spec/postgresql/pg_hba/0` as people write it: `spec.postgresql.pg_hba[0]`. */
function fieldOf(pointer: string, tail?: string): string {
  const parts = tail === undefined ? segments(pointer) : [...segments(pointer), tail];
  return parts.reduce((path, part) => {
    if (/^\d+$/.test(part)) return `${path}[${part}]`;
    return path === '' ? part : `${path}.${part}`;
  }, '');
}

function unknownFields(schema: StructuralSchema, error: SchemaError): Problem[] {
  if (error.keyword !== 'additionalProperties') return [];
  const known = Object.keys(at(schema, error.instancePath)?.properties ?? {});
  return error.params.additionalProperties.map((name) => {
    const near = closest(name, known);
    return {
      field: fieldOf(error.instancePath, name),
      message: 'is no field that pgherd supports',
      hint: near ? `did you mean ${near}?` : `remove it; fields known here: ${known.join(', ')}`,
    };
  });
}

const ARTICLES: Record<string, string> = {
  string: 'text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
};

const WRITE_AMOUNT = 'write for example 2, 500m or 2Gi';
const SEE_DESCRIPTION = 'see the description of the field with kubectl explain';

function isAmount(schema: StructuralSchema, error: SchemaError): boolean {
  return at(schema, error.instancePath)?.['x-kubernetes-int-or-string'] === true;
}

function shapeProblem(schema: StructuralSchema, error: SchemaError): Problem {
  const field = fieldOf(error.instancePath);
  switch (error.keyword) {
    case 'required': {
      const [missing] = error.params.requiredProperties;
      return { field: fieldOf(error.instancePath, missing), message: 'is missing', hint: 'add it' };
    }
    case 'type': {
      const wanted = ARTICLES[String(error.params.type)] ?? String(error.params.type);
      const quote = error.params.type === 'string' ? "; put the value in quotes: '...'" : '';
      return { field, message: `must be ${wanted}`, hint: `write ${wanted}${quote}` };
    }
    case 'enum':
      return {
        field,
        message: 'is none of the words known here',
        hint: `write one of: ${error.params.allowedValues.join(', ')}`,
      };
    case 'minimum':
      return {
        field,
        message: `must be at least ${error.params.limit}`,
        hint: `write ${error.params.limit} or more`,
      };
    case 'maximum':
      return {
        field,
        message: `must be at most ${error.params.limit}`,
        hint: `write ${error.params.limit} or less`,
      };
    case 'anyOf':
      return { field, message: 'must be a whole number or an amount', hint: WRITE_AMOUNT };
    case 'pattern':
      return isAmount(schema, error)
        ? { field, message: 'is no amount', hint: WRITE_AMOUNT }
        : { field, message: `does not match ${error.params.pattern}`, hint: SEE_DESCRIPTION };
    default:
      return { field, message: error.message, hint: SEE_DESCRIPTION };
  }
}

function ruleProblems(schema: StructuralSchema, object: unknown, old: object | undefined): Problem[] {
  return brokenRules(schema, object, old).map(({ field, message }) => ({
    // Rules at the root are about the object's name, the only part of metadata a rule may read.
    field: field || 'metadata.name',
    message,
  }));
}
