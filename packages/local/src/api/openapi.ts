/** OpenAPI v3 documents: enough for kubectl's apply, diff, explain and validation. */
import { createHash } from 'node:crypto';
import type { Registry } from './registry.ts';
import { definition, definitionName } from './schema/builtin.ts';
import descriptions from './schema/descriptions.json' with { type: 'json' };
import type { Obj, Resource, Schema } from './types.ts';

const TEXTS = descriptions as unknown as Record<string, Record<string, string>>;
const META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';

/** The text of a document under /openapi/v3, or undefined. */
export function openApiDocument(registry: Registry, path: string): string | undefined {
  if (path === '/openapi/v3') return JSON.stringify({ paths: index(registry) });
  const groupVersion = path.slice('/openapi/v3/'.length);
  const parts = groupVersion.split('/');
  const [group, version] = parts[0] === 'api' ? ['', parts[1]] : [parts[1], parts[2]];
  const resources = registry.all().filter((one) => one.group === group && one.version === version);
  if (resources.length === 0) return undefined;
  return JSON.stringify(documentOf(resources));
}

function index(registry: Registry): Obj {
  const paths: Obj = {};
  for (const { group, versions } of registry.groups()) {
    for (const version of versions) {
      const key = group ? `apis/${group}/${version}` : `api/${version}`;
      const resources = registry.all().filter((one) => one.group === group && one.version === version);
      const hash = createHash('sha256')
        .update(JSON.stringify(resources))
        .digest('hex')
        .slice(0, 32)
        .toUpperCase();
      paths[key] = { serverRelativeURL: `/openapi/v3/${key}?hash=${hash}` };
    }
  }
  return paths;
}

function documentOf(resources: Resource[]): Obj {
  const schemas: Obj = {};
  const paths: Obj = {};
  for (const resource of resources) {
    const name = addSchema(resource, schemas);
    if (name) Object.assign(paths, pathsOf(resource, name));
  }
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: 'v1.33.0' },
    paths,
    components: { schemas },
  };
}

/** Adds a kind's schema with all it refers to; returns its name. */
function addSchema(resource: Resource, schemas: Obj): string | undefined {
  const { group, version, kind, custom } = resource;
  if (!custom) {
    const name = definitionName(group, version, kind);
    if (name) addDefinition(name, schemas);
    return name;
  }
  const name = `${group.split('.').reverse().join('.')}.${version}.${kind}`;
  addDefinition(META, schemas);
  schemas[name] = {
    ...custom.schema,
    properties: {
      ...custom.schema.properties,
      apiVersion: {
        type: 'string',
        description: 'APIVersion defines the versioned schema of this representation of an object.',
      },
      kind: {
        type: 'string',
        description: 'Kind is a string value representing the REST resource this object represents.',
      },
      metadata: {
        allOf: [{ $ref: `#/components/schemas/${META}` }],
        description: 'Standard object metadata.',
        default: {},
      },
    },
    'x-kubernetes-group-version-kind': [{ group, version, kind }],
  };
  return name;
}

function addDefinition(name: string, schemas: Obj): void {
  if (name in schemas) return;
  const schema = definition(name);
  if (!schema) return;
  const refs = new Set<string>();
  // Reserved first: definitions may refer to each other in circles.
  schemas[name] = {};
  schemas[name] = converted(schema, TEXTS[name] ?? {}, '', refs);
  for (const ref of refs) addDefinition(ref, schemas);
}

/** Version 2 to 3: references move, texts come back. */
function converted(schema: Schema, texts: Record<string, string>, path: string, refs: Set<string>): Obj {
  const result: Obj = { ...schema };
  const ref = (schema as Obj).$ref;
  const description = texts[path];
  if (typeof ref === 'string') {
    const name = ref.slice('#/definitions/'.length);
    refs.add(name);
    delete result.$ref;
    return {
      ...result,
      allOf: [{ $ref: `#/components/schemas/${name}` }],
      ...(description ? { description } : {}),
    };
  }
  if (description) result.description = description;
  if (schema.properties) {
    result.properties = Object.fromEntries(
      Object.entries(schema.properties).map(([key, one]) => [
        key,
        converted(one, texts, path ? `${path}.${key}` : key, refs),
      ]),
    );
  }
  if (schema.items) result.items = converted(schema.items, {}, '', refs);
  if (typeof schema.additionalProperties === 'object')
    result.additionalProperties = converted(schema.additionalProperties, {}, '', refs);
  if (schema.format === 'int-or-string') {
    delete result.type;
    return { ...result, oneOf: [{ type: 'integer' }, { type: 'string' }] };
  }
  return result;
}

const QUERY = ['dryRun', 'fieldManager', 'fieldValidation', 'force'].map((name) => ({
  name,
  in: 'query',
  schema: { type: name === 'force' ? 'boolean' : 'string', uniqueItems: true },
}));

function pathsOf(resource: Resource, schemaName: string): Obj {
  const { group, version, kind, plural, namespaced, custom } = resource;
  const base = group ? `/apis/${group}/${version}` : `/api/${version}`;
  const collection = namespaced ? `${base}/namespaces/{namespace}/${plural}` : `${base}/${plural}`;
  const schema = { $ref: `#/components/schemas/${schemaName}` };
  const content = { 'application/json': { schema } };
  // Strategic merge patch is not announced: kubectl then takes the list keys from its own types, which know them all.
  const patchTypes = [
    'application/json-patch+json',
    'application/merge-patch+json',
    'application/apply-patch+yaml',
  ];
  const operation = (action: string, extra: Obj = {}) => ({
    tags: [`${group || 'core'}_${version}`],
    operationId: `${action}${kind}`,
    parameters: QUERY,
    responses: { 200: { description: 'OK', content } },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': { group, version, kind },
    ...extra,
  });
  const body = { requestBody: { content: { '*/*': { schema } } } };
  if (resource.verbs.length === 1) return { [collection]: { post: operation('post', body) } };
  const patch = {
    requestBody: {
      content: Object.fromEntries(patchTypes.map((type) => [type, { schema: { type: 'object' } }])),
    },
  };
  return {
    [collection]: { get: operation('list'), post: operation('post', body) },
    [`${collection}/{name}`]: {
      get: operation('get'),
      put: operation('put', body),
      patch: operation('patch', patch),
      delete: operation('delete'),
      ...(custom ? {} : { parameters: [] }),
    },
  };
}
