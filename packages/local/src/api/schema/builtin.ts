/** The schemas of built-in kinds. `builtin.json` is made by build.ts from Kubernetes' own description. */

import type { Obj, Schema } from '../types.ts';
import definitions from './builtin.json' with { type: 'json' };

const PREFIX = '#/definitions/';
const BY_NAME = definitions as unknown as Record<string, Schema>;

interface GroupVersionKind {
  group: string;
  version: string;
  kind: string;
}

let index: Map<string, string> | undefined;

function byKind(): Map<string, string> {
  if (!index) {
    index = new Map();
    for (const [name, schema] of Object.entries(BY_NAME)) {
      const kinds = (schema['x-kubernetes-group-version-kind'] ?? []) as GroupVersionKind[];
      for (const { group, version, kind } of kinds) index.set(`${group}/${version}/${kind}`, name);
    }
  }
  return index;
}

/** The name of the definition of a kind, such as `io.k8s.api.core.v1.Pod`. */
export function definitionName(group: string, version: string, kind: string): string | undefined {
  return byKind().get(`${group}/${version}/${kind}`);
}

/** A definition by its name. */
export function definition(name: string): Schema | undefined {
  return BY_NAME[name];
}

/** The schema of a built-in kind. */
export function builtinSchema(group: string, version: string, kind: string): Schema | undefined {
  const name = definitionName(group, version, kind);
  return name ? BY_NAME[name] : undefined;
}

/** The name that a `$ref` refers to, if the schema is one. */
export function refName(schema: Schema | undefined): string | undefined {
  const ref = (schema as Obj | undefined)?.$ref;
  return typeof ref === 'string' ? ref.slice(PREFIX.length) : undefined;
}

/** The schema itself, or what its `$ref` refers to. */
export function deref(schema: Schema | undefined): Schema | undefined {
  const name = refName(schema);
  return name ? BY_NAME[name] : schema;
}
