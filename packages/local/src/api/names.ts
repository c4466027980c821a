/** What names, labels and metadata may look like. */
import { type FieldError, forbiddenValue, invalidValue, requiredValue } from './status.ts';
import { isObject, type KubeObject, type Resource } from './types.ts';

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const LABEL_1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LABEL_VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;
const QUALIFIED = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

const SUBDOMAIN_WORDS =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_WORDS =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035_WORDS =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

interface NameRule {
  pattern: RegExp;
  limit: number;
  words: string;
}

const SUBDOMAIN_RULE: NameRule = { pattern: SUBDOMAIN, limit: 253, words: SUBDOMAIN_WORDS };
const LABEL_RULE: NameRule = { pattern: LABEL, limit: 63, words: LABEL_WORDS };
const SERVICE_RULE: NameRule = { pattern: LABEL_1035, limit: 63, words: LABEL_1035_WORDS };
const PATH_RULE: NameRule = {
  pattern: /^(?!\.{1,2}$)[^/%]+$/,
  limit: 253,
  words: "may not be '.' or '..' and may not contain '/' or '%'",
};

function ruleOf(resource: Resource): NameRule {
  if (resource.group === 'rbac.authorization.k8s.io') return PATH_RULE;
  if (resource.group === '' && resource.plural === 'services') return SERVICE_RULE;
  if (resource.group === '' && resource.plural === 'namespaces') return LABEL_RULE;
  return SUBDOMAIN_RULE;
}

/** What is wrong with an object's name, labels, annotations, finalizers and owner references. */
export function metadataErrors(object: KubeObject, resource: Resource): FieldError[] {
  const { metadata } = object;
  const errors: FieldError[] = [];
  if (!metadata.name) errors.push(requiredValue('metadata.name', 'name or generateName is required'));
  else errors.push(...nameErrors(metadata.name, ruleOf(resource)));
  errors.push(...labelErrors(metadata.labels, 'metadata.labels'));
  errors.push(...annotationErrors(metadata.annotations));
  for (const [index, owner] of (metadata.ownerReferences ?? []).entries()) {
    const path = `metadata.ownerReferences[${index}]`;
    for (const field of ['apiVersion', 'kind', 'name', 'uid'] as const) {
      if (!owner[field])
        errors.push(invalidValue(`${path}.${field}`, owner[field] ?? '', 'must not be empty'));
    }
  }
  const controllers = (metadata.ownerReferences ?? []).filter((owner) => owner.controller);
  if (controllers.length > 1) {
    errors.push(
      invalidValue(
        'metadata.ownerReferences',
        metadata.ownerReferences,
        'Only one reference can have Controller set to true',
      ),
    );
  }
  return errors;
}

function nameErrors(name: string, rule: NameRule): FieldError[] {
  if (name.length > rule.limit)
    return [invalidValue('metadata.name', name, `must be no more than ${rule.limit} characters`)];
  return rule.pattern.test(name) ? [] : [invalidValue('metadata.name', name, rule.words)];
}

/** What is wrong with a map of labels at a path. */
export function labelErrors(labels: unknown, path: string): FieldError[] {
  if (labels === undefined || labels === null) return [];
  if (!isObject(labels)) return [invalidValue(path, labels, 'must be a map of strings')];
  const errors: FieldError[] = [];
  for (const [key, value] of Object.entries(labels)) {
    errors.push(...keyErrors(key, path));
    if (typeof value !== 'string' || value.length > 63 || !LABEL_VALUE.test(value)) {
      errors.push(
        invalidValue(
          path,
          value,
          "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ),
      );
    }
  }
  return errors;
}

function keyErrors(key: string, path: string): FieldError[] {
  const slash = key.indexOf('/');
  const name = slash < 0 ? key : key.slice(slash + 1);
  const prefix = slash < 0 ? undefined : key.slice(0, slash);
  const good =
    name.length <= 63 &&
    QUALIFIED.test(name) &&
    (prefix === undefined || SUBDOMAIN.test(prefix.toLowerCase()));
  if (good) return [];
  return [
    invalidValue(
      path,
      key,
      "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
    ),
  ];
}

const ANNOTATION_LIMIT = 256 * 1024;

function annotationErrors(annotations: Record<string, string> | undefined): FieldError[] {
  let size = 0;
  const errors: FieldError[] = [];
  for (const [key, value] of Object.entries(annotations ?? {})) {
    errors.push(...keyErrors(key, 'metadata.annotations'));
    size += key.length + String(value).length;
  }
  if (size > ANNOTATION_LIMIT) {
    errors.push({
      type: 'FieldValueTooLong',
      field: 'metadata.annotations',
      message: `Too long: may not be more than ${ANNOTATION_LIMIT} bytes`,
    });
  }
  return errors;
}

/** An update of a namespace-independent part that metadata never allows. */
export function immutable(field: string, value: unknown): FieldError {
  return invalidValue(field, value, 'field is immutable');
}

/** A finalizer added while the object is being deleted. */
export function newFinalizer(names: string[]): FieldError {
  return forbiddenValue(
    'metadata.finalizers',
    `no new finalizers can be added if the object is being deleted, found new finalizers []string{${names.map((name) => JSON.stringify(name)).join(', ')}}`,
  );
}

const SUFFIX_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';

/** generateName plus five random letters. */
export function generatedName(prefix: string, random: (limit: number) => number): string {
  let suffix = '';
  for (let index = 0; index < 5; index++) suffix += SUFFIX_LETTERS[random(SUFFIX_LETTERS.length)];
  return prefix.slice(0, 58) + suffix;
}
