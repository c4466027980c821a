/** Label selectors (as text and as objects) and field selectors. */
import { badRequest } from './status.ts';
import { at, type KubeObject, type Obj, objectAt, objectsAt, type Resource } from './types.ts';

export interface Requirement {
  key: string;
  operator: 'in' | 'notin' | 'exists' | '!' | '=' | '!=' | 'gt' | 'lt';
  values: string[];
}

const LABEL_KEY = /^(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

/** Parses `a=b,c!=d,e in (x,y),f notin (z),g,!h,i>1`. Throws 400 on what cannot be read. */
function parseLabelSelector(text: string): Requirement[] {
  const requirements: Requirement[] = [];
  for (const part of splitOutsideParentheses(text)) {
    const clause = part.trim();
    if (clause) requirements.push(parseClause(clause, text));
    else if (part !== text) throw unparsable(text, 'found an empty requirement');
  }
  return requirements;
}

function splitOutsideParentheses(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let index = 0; index < text.length; index++) {
    const letter = text[index];
    if (letter === '(') depth++;
    else if (letter === ')') depth--;
    else if (letter === ',' && depth === 0) {
      parts.push(text.slice(start, index));
      start = index + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}

function parseClause(clause: string, whole: string): Requirement {
  const set = /^(\S+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(clause);
  if (set) {
    const values = (set[3] as string).split(',').map((value) => value.trim());
    return checked({ key: set[1] as string, operator: set[2] as 'in' | 'notin', values }, whole);
  }
  const compare = /^([^\s=!<>]+)\s*(==|=|!=|>|<)\s*(\S*)$/.exec(clause);
  if (compare) {
    const operator = ({ '==': '=', '=': '=', '!=': '!=', '>': 'gt', '<': 'lt' } as const)[compare[2] as '='];
    return checked({ key: compare[1] as string, operator, values: [compare[3] as string] }, whole);
  }
  const absent = /^!\s*(\S+)$/.exec(clause);
  if (absent) return checked({ key: absent[1] as string, operator: '!', values: [] }, whole);
  return checked({ key: clause, operator: 'exists', values: [] }, whole);
}

function checked(requirement: Requirement, whole: string): Requirement {
  if (!LABEL_KEY.test(requirement.key))
    throw unparsable(whole, `invalid key ${JSON.stringify(requirement.key)}`);
  return requirement;
}

function unparsable(text: string, why: string) {
  return badRequest(`unable to parse requirement: ${why} in the selector ${JSON.stringify(text)}`);
}

function meets(labels: Record<string, string>, requirement: Requirement): boolean {
  const value = labels[requirement.key];
  switch (requirement.operator) {
    case 'exists':
      return value !== undefined;
    case '!':
      return value === undefined;
    case '=':
    case 'in':
      return value !== undefined && requirement.values.includes(value);
    case '!=':
    case 'notin':
      return value === undefined || !requirement.values.includes(value);
    case 'gt':
      return value !== undefined && Number(value) > Number(requirement.values[0]);
    case 'lt':
      return value !== undefined && Number(value) < Number(requirement.values[0]);
  }
}

/** Whether labels meet every requirement. */
export function matchesLabels(
  labels: Record<string, string> | undefined,
  requirements: Requirement[],
): boolean {
  return requirements.every((requirement) => meets(labels ?? {}, requirement));
}

/** The requirements of a LabelSelector object (matchLabels, matchExpressions). An empty one matches everything. */
export function fromSelectorObject(selector: unknown): Requirement[] {
  const requirements: Requirement[] = Object.entries(objectAt(selector, 'matchLabels')).map(
    ([key, value]) => ({
      key,
      operator: '=',
      values: [String(value)],
    }),
  );
  for (const expression of objectsAt(selector, 'matchExpressions')) {
    requirements.push({
      key: String(expression.key),
      operator: EXPRESSION_OPERATORS[String(expression.operator)] ?? 'exists',
      values: Array.isArray(expression.values) ? expression.values.map(String) : [],
    });
  }
  return requirements;
}

const EXPRESSION_OPERATORS: Record<string, Requirement['operator']> = {
  In: 'in',
  NotIn: 'notin',
  Exists: 'exists',
  DoesNotExist: '!',
};

/** A LabelSelector object as the text that `kubectl get -l` takes. */
export function selectorText(selector: unknown): string {
  return fromSelectorObject(selector)
    .map(({ key, operator, values }) => {
      if (operator === 'exists') return key;
      if (operator === '!') return `!${key}`;
      if (operator === '=') return `${key}=${values[0]}`;
      return `${key} ${operator} (${values.join(',')})`;
    })
    .join(',');
}

export interface FieldRequirement {
  path: string[];
  value: string;
  negate: boolean;
}

/** Parses `a.b=c,d!=e`; only fields that the resource declares may be used. */
function parseFieldSelector(text: string, resource: Resource): FieldRequirement[] {
  return text
    .split(',')
    .filter((clause) => clause.trim() !== '')
    .map((clause) => {
      const match = /^\s*([^=!\s]+)\s*(==|=|!=)\s*(.*?)\s*$/.exec(clause);
      if (!match)
        throw badRequest(
          `invalid selector: ${JSON.stringify(text)}; can't understand ${JSON.stringify(clause)}`,
        );
      const field = match[1] as string;
      if (
        field !== 'metadata.name' &&
        field !== 'metadata.namespace' &&
        !resource.selectable.includes(field)
      ) {
        throw badRequest(
          `Unable to find ${JSON.stringify(resource.group ? `${resource.group}/${resource.version}` : resource.version)}, ` +
            `Kind=${resource.kind} that match label selector "", field selector ${JSON.stringify(text)}: field label not supported: ${field}`,
        );
      }
      return { path: storedPath(field), value: match[3] as string, negate: match[2] === '!=' };
    });
}

/** Events are stored in their core/v1 form, whatever version asks. */
function storedPath(field: string): string[] {
  return field
    .replace(/^regarding\./, 'involvedObject.')
    .replace(/^reportingController$/, 'reportingComponent')
    .split('.');
}

/** Whether an object meets every field requirement; a missing field counts as the empty string (or `false`). */
function matchesFields(object: KubeObject, requirements: FieldRequirement[]): boolean {
  return requirements.every(({ path, value, negate }) => (fieldText(object, path) === value) !== negate);
}

function fieldText(object: Obj, path: string[]): string {
  const found = at(object, ...path);
  if (found === undefined || found === null)
    return path.at(-1) === 'unschedulable' || path.at(-1) === 'hostNetwork' ? 'false' : '';
  return String(found);
}

/** Both kinds of selector in one. */
export interface Selector {
  labels: Requirement[];
  fields: FieldRequirement[];
}

export function parseSelector(query: URLSearchParams, resource: Resource): Selector {
  return {
    labels: parseLabelSelector(query.get('labelSelector') ?? ''),
    fields: parseFieldSelector(query.get('fieldSelector') ?? '', resource),
  };
}

export function matches(object: KubeObject, selector: Selector): boolean {
  return matchesLabels(object.metadata.labels, selector.labels) && matchesFields(object, selector.fields);
}
