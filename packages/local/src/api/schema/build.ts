/**
 * Makes the schema files of built-in kinds from Kubernetes' own:
 *   node build.ts SWAGGER_JSON PROTO_DIR
 * SWAGGER_JSON: api/openapi-spec/swagger.json of a Kubernetes release; PROTO_DIR: a checkout of k8s.io/api beside one
 * of k8s.io/apimachinery (only generated.proto and types.go are read). Both are Apache-2.0, as this repository is.
 * Writes builtin.json (structure), descriptions.json (texts for `kubectl explain`) and protobuf.json (field numbers).
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BUILTIN, REVIEWS } from '../kinds.ts';

type Json = Record<string, unknown>;

const [swaggerFile, protoDir] = process.argv.slice(2);
if (!swaggerFile || !protoDir) throw new Error('usage: node build.ts SWAGGER_JSON PROTO_DIR');

const swagger = JSON.parse(readFileSync(swaggerFile, 'utf8')) as { definitions: Record<string, Json> };
const EXTRA = [
  'Scale/autoscaling/v1',
  'Eviction/policy/v1',
  'DeleteOptions//v1',
  'Binding//v1',
  'TokenRequest/authentication.k8s.io/v1',
  'Status//v1',
];

function wantedKinds(): Set<string> {
  return new Set([
    ...[...BUILTIN, ...REVIEWS].map((one) => `${one.kind}/${one.group}/${one.version}`),
    ...EXTRA,
  ]);
}

function kindsOf(definition: Json): { kind: string; group: string; version: string }[] {
  return (definition['x-kubernetes-group-version-kind'] ?? []) as {
    kind: string;
    group: string;
    version: string;
  }[];
}

function collectRefs(value: unknown, into: Set<string>): void {
  if (Array.isArray(value)) for (const one of value) collectRefs(one, into);
  else if (typeof value === 'object' && value !== null) {
    for (const [key, one] of Object.entries(value)) {
      if (key === '$ref' && typeof one === 'string') into.add(one.slice('#/definitions/'.length));
      else collectRefs(one, into);
    }
  }
}

const wanted = wantedKinds();
const names = new Set<string>();
const todo = Object.entries(swagger.definitions)
  .filter(([, definition]) =>
    kindsOf(definition).some((one) => wanted.has(`${one.kind}/${one.group}/${one.version}`)),
  )
  .map(([name]) => name);
while (todo.length) {
  const name = todo.pop() as string;
  if (names.has(name)) continue;
  names.add(name);
  const refs = new Set<string>();
  collectRefs(swagger.definitions[name], refs);
  todo.push(...refs);
}

/** A definition without its texts; those go to `texts`. */
function strip(value: unknown, texts: Record<string, string>, path: string, inProperties = false): unknown {
  if (Array.isArray(value)) return value.map((one) => strip(one, texts, path));
  if (typeof value !== 'object' || value === null) return value;
  const result: Json = {};
  for (const [key, one] of Object.entries(value)) {
    if (key === 'description' && typeof one === 'string' && !inProperties) texts[path] = one;
    else if (inProperties) result[key] = strip(one, texts, path ? `${path}.${key}` : key);
    else result[key] = strip(one, texts, path, key === 'properties');
  }
  return result;
}

const structure: Json = {};
const descriptions: Json = {};
for (const name of [...names].sort()) {
  const texts: Record<string, string> = {};
  const definition = strip(swagger.definitions[name], texts, '') as Json;
  const kinds = kindsOf(definition).filter((one) => wanted.has(`${one.kind}/${one.group}/${one.version}`));
  if (kinds.length) definition['x-kubernetes-group-version-kind'] = kinds;
  structure[name] = definition;
  descriptions[name] = texts;
}

// Protobuf (label: repeated, map, plain for values whose zero means unset, or empty): message name as in builtin.json -> field number -> [name, type, label].

const FILES: Record<string, string> = {
  'k8s.io/apimachinery/pkg/apis/meta/v1': 'io.k8s.apimachinery.pkg.apis.meta.v1',
  'k8s.io/apimachinery/pkg/api/resource': 'io.k8s.apimachinery.pkg.api.resource',
  'k8s.io/apimachinery/pkg/util/intstr': 'io.k8s.apimachinery.pkg.util.intstr',
};

/** `Struct.number` of every number or bool in types.go that is not a pointer: its zero means "not set". */
function plainFields(file: string): Set<string> {
  const plain = new Set<string>();
  if (!existsSync(file)) return plain;
  for (const [, struct, body] of readFileSync(file, 'utf8').matchAll(
    /^type (\w+) struct \{\n([\s\S]*?)^\}/gm,
  )) {
    for (const [, number] of (body as string).matchAll(
      /^\s+\w+\s+[^*[\s]\S*\s+`[^`]*protobuf:"varint,(\d+)/gm,
    ))
      plain.add(`${struct}.${number}`);
  }
  return plain;
}

function protoMessages(file: string, packageName: string): Record<string, Json> {
  const zeroMeansUnset = plainFields(file.replace('generated.proto', 'types.go'));
  const messages: Record<string, Json> = {};
  const text = readFileSync(file, 'utf8').replace(/\/\/.*$/gm, '');
  for (const [, name, body] of text.matchAll(/message (\w+) \{([^}]*)\}/g)) {
    const fields: Json = {};
    for (const match of (body as string).matchAll(
      /(optional|repeated)?\s*(map<string, ([\w.]+)>|[\w.]+)\s+(\w+)\s*=\s*(\d+)/g,
    )) {
      const [, label, plain, mapValue, field, number] = match;
      const type = (mapValue ?? plain) as string;
      fields[number as string] = [
        field,
        qualify(type, packageName),
        labelOf(mapValue, label, zeroMeansUnset.has(`${name}.${number}`)),
      ];
    }
    messages[`${packageName}.${name}`] = fields;
  }
  return messages;
}

function labelOf(mapValue: string | undefined, label: string | undefined, plain: boolean): string {
  if (mapValue) return 'map';
  if (label === 'repeated') return 'repeated';
  return plain ? 'plain' : '';
}

const SCALARS = new Set(['string', 'bytes', 'bool', 'int32', 'int64', 'uint32', 'uint64', 'double', 'float']);

function qualify(type: string, packageName: string): string {
  if (SCALARS.has(type)) return type;
  if (type.includes('.')) return type.replace(/^\.?k8s\.io\./, 'io.k8s.');
  return `${packageName}.${type}`;
}

const protobuf: Record<string, Json> = {};
const groups = [
  'core',
  'apps',
  'batch',
  'policy',
  'rbac',
  'authentication',
  'authorization',
  'coordination',
  'scheduling',
  'networking',
  'storage',
  'autoscaling',
  'discovery',
];
for (const group of groups) {
  const file = join(protoDir, 'api', group, 'v1', 'generated.proto');
  if (existsSync(file)) Object.assign(protobuf, protoMessages(file, `io.k8s.api.${group}.v1`));
}
for (const [path, packageName] of Object.entries(FILES)) {
  const file = join(protoDir, path.slice('k8s.io/'.length), 'generated.proto');
  Object.assign(protobuf, protoMessages(file, packageName));
}

const here = import.meta.dirname;
writeFileSync(join(here, 'builtin.json'), `${JSON.stringify(structure)}\n`);
writeFileSync(join(here, 'descriptions.json'), `${JSON.stringify(descriptions)}\n`);
writeFileSync(join(here, 'protobuf.json'), `${JSON.stringify(protobuf)}\n`);
console.log(`${names.size} definitions, ${Object.keys(protobuf).length} messages`);
