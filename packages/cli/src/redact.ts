/** Takes out what must not leave the house: the contents of Secrets, passwords and keys anywhere. Pure. */

const HIDDEN = '(hidden)';
const SECRET_NAME = /passw(or)?d|passfile|secret|token|private|credential|\bkey$/i;
/** `password=...` and `postgres://user:...@` in the middle of other text. */
const IN_TEXT: [RegExp, string][] = [
  [/(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s,;&]+)/gi, `$1${HIDDEN}`],
  [/(postgres(?:ql)?:\/\/[^:@/\s]+:)[^@\s]+(@)/gi, `$1${HIDDEN}$2`],
  [/(PASSWORD\s+)'(?:[^']|'')*'/gi, `$1'${HIDDEN}'`],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----/g, HIDDEN],
];

/** A copy without secrets. Names of keys stay, so that a missing one can be seen. */
export function redact(value: unknown): unknown {
  if (typeof value === 'string') return redactText(value);
  if (Array.isArray(value)) return value.map(redact);
  if (value === null || typeof value !== 'object') return value;
  const object = value as Record<string, unknown>;
  const isSecret = object.kind === 'Secret';
  const hasSecretName = typeof object.name === 'string' && SECRET_NAME.test(object.name);
  return Object.fromEntries(
    Object.entries(object).map(([key, each]) => {
      if (isSecret && (key === 'data' || key === 'stringData')) return [key, hideAll(each)];
      // An environment variable: { name: PGPASSWORD, value: ... }
      if (key === 'value' && hasSecretName) return [key, HIDDEN];
      if (typeof each === 'string' && /passw(or)?d/i.test(key)) return [key, HIDDEN];
      // Whoever applied the object with kubectl left a copy of it here.
      if (key === 'kubectl.kubernetes.io/last-applied-configuration') return [key, HIDDEN];
      if (key === 'managedFields') return [key, HIDDEN];
      return [key, redact(each)];
    }),
  );
}

function hideAll(data: unknown): unknown {
  return Object.fromEntries(Object.keys((data as object | undefined) ?? {}).map((key) => [key, HIDDEN]));
}

function redactText(text: string): string {
  return IN_TEXT.reduce((done, [pattern, by]) => done.replace(pattern, by), text);
}
