/** What is wrong with a CustomResourceDefinition. */
import { type FieldError, invalidValue, requiredValue, unsupportedValue } from '../status.ts';
import { isObject, type KubeObject, type Obj, objectAt, objectsAt, type Schema } from '../types.ts';
import { compileProblem } from './cel.ts';

/** All findings; an empty list lets the definition in. */
export function definitionErrors(object: KubeObject): FieldError[] {
  const spec = objectAt(object, 'spec');
  const names = objectAt(spec, 'names');
  const errors: FieldError[] = [];
  for (const key of ['group', 'scope'] as const) if (!spec[key]) errors.push(requiredValue(`spec.${key}`));
  for (const key of ['plural', 'kind'] as const)
    if (!names[key]) errors.push(requiredValue(`spec.names.${key}`));
  if (spec.scope && spec.scope !== 'Cluster' && spec.scope !== 'Namespaced')
    errors.push(unsupportedValue('spec.scope', spec.scope, ['Cluster', 'Namespaced']));
  if (object.metadata.name !== `${names.plural}.${spec.group}`) {
    errors.push(
      invalidValue('metadata.name', object.metadata.name, 'must be spec.names.plural+"."+spec.group'),
    );
  }
  const versions = objectsAt(spec, 'versions');
  if (versions.filter((version) => version.storage === true).length !== 1) {
    errors.push(
      invalidValue(
        'spec.versions',
        versions.map((version) => version.name),
        'must have exactly one version marked as storage version',
      ),
    );
  }
  for (const [index, version] of versions.entries())
    errors.push(...versionErrors(version, `spec.versions[${index}]`));
  return errors;
}

function versionErrors(version: Obj, path: string): FieldError[] {
  const schema = objectAt(version, 'schema').openAPIV3Schema;
  if (!isObject(schema)) return [requiredValue(`${path}.schema.openAPIV3Schema`, 'schemas are required')];
  return schemaErrors(schema as Schema, `${path}.schema.openAPIV3Schema`);
}

/** Structural: every node has a type; rules compile. */
function schemaErrors(schema: Schema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (
    !schema.type &&
    !schema['x-kubernetes-int-or-string'] &&
    !schema['x-kubernetes-preserve-unknown-fields']
  ) {
    errors.push(requiredValue(`${path}.type`, 'must not be empty for specified object fields'));
  }
  if (schema.pattern) {
    try {
      new RegExp(schema.pattern, 'u');
    } catch (error) {
      errors.push(invalidValue(`${path}.pattern`, schema.pattern, (error as Error).message));
    }
  }
  for (const [index, rule] of (schema['x-kubernetes-validations'] ?? []).entries()) {
    const problem = compileProblem(rule.rule);
    if (problem)
      errors.push(
        invalidValue(
          `${path}.x-kubernetes-validations[${index}].rule`,
          rule.rule,
          `compilation failed: ${problem}`,
        ),
      );
  }
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (path.endsWith('openAPIV3Schema') && name === 'metadata') continue;
    errors.push(...schemaErrors(property, `${path}.properties[${name}]`));
  }
  if (schema.type === 'array' && !schema.items)
    errors.push(requiredValue(`${path}.items`, 'must be specified'));
  if (schema.items) errors.push(...schemaErrors(schema.items, `${path}.items`));
  if (isObject(schema.additionalProperties))
    errors.push(...schemaErrors(schema.additionalProperties as Schema, `${path}.additionalProperties`));
  return errors;
}
