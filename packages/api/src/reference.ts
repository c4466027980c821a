/** The reference of a kind's fields, as a page for people. */
import type { StructuralSchema } from './structural.ts';

interface Row {
  path: string;
  type: string;
  required: boolean;
  description: string;
}

function typeOf(schema: StructuralSchema): string {
  if (schema['x-kubernetes-int-or-string']) return 'amount';
  if (schema.enum) return schema.enum.map((word) => `\`${word}\``).join(', ');
  if (schema.items) return `list of ${typeOf(schema.items)}`;
  if (schema.additionalProperties) return `map of ${typeOf(schema.additionalProperties)}`;
  return { string: 'text', boolean: 'true or false' }[schema.type ?? ''] ?? schema.type ?? '';
}

function bounds(schema: StructuralSchema): string {
  const { minimum, maximum } = schema;
  if (minimum === undefined && maximum === undefined) return '';
  if (maximum === undefined) return ` At least ${minimum}.`;
  return ` From ${minimum ?? 'any'} to ${maximum}.`;
}

function rows(schema: StructuralSchema, path: string): Row[] {
  const required = new Set(schema.required);
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const own = path === '' ? name : `${path}.${name}`;
    const row = {
      path: own,
      type: typeOf(field),
      required: required.has(name),
      description: `${field.description ?? ''}${bounds(field)}`,
    };
    return [row, ...inner(field, own)];
  });
}

function inner(field: StructuralSchema, path: string): Row[] {
  if (field.items) return inner(field.items, `${path}[]`);
  if (field.additionalProperties) return inner(field.additionalProperties, `${path}.NAME`);
  return rows(field, path);
}

function table(lines: readonly Row[]): string {
  const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
  const body = lines.map(
    (row) =>
      `| \`${row.path}\`${row.required ? ' (required)' : ''} | ${cell(row.type)} | ${cell(row.description)} |`,
  );
  return ['| Field | Type | Meaning |', '|---|---|---|', ...body].join('\n');
}

/** What the API refuses beyond types and bounds: the rules of the schema, each under the field it stands at. */
function ruleLines(schema: StructuralSchema, path: string): string[] {
  const own = (schema['x-kubernetes-validations'] ?? []).map(
    (rule) => `- \`${path || 'metadata.name'}\`: ${rule.message}`,
  );
  const fields = Object.entries(schema.properties ?? {}).flatMap(([name, field]) =>
    ruleLines(field, path === '' ? name : `${path}.${name}`),
  );
  const items = schema.items ? ruleLines(schema.items, `${path}[]`) : [];
  const values = schema.additionalProperties ? ruleLines(schema.additionalProperties, `${path}.NAME`) : [];
  return [...own, ...fields, ...items, ...values];
}

/** A Markdown page with every field of `spec` and `status`, and with what is refused. */
export function referencePage(kind: string, apiVersion: string, schema: StructuralSchema): string {
  const { spec = {}, status = {} } = schema.properties ?? {};
  return [
    '<!-- Generated from the schema by npm run generate: do not edit. -->',
    `# ${kind} (\`${apiVersion}\`)`,
    `${schema.description ?? ''} The same text, field by field: \`kubectl explain ${kind.toLowerCase()}.spec\`.`,
    '## spec',
    table(rows(spec, 'spec')),
    '## status',
    'Written by the operator; read it, do not set it.',
    table(rows(status, 'status')),
    '## What is refused',
    'An unknown field is refused by name, and so is a value of the wrong type or out of bounds. Beyond that:',
    ruleLines(schema, '').join('\n'),
    '',
  ].join('\n\n');
}
