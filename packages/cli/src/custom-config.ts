/** Configuration files of PostgreSQL as people have them, made into fields of a Cluster. Pure. */
import { CliError } from './errors.ts';

/** Keys of the ConfigMap that `--custom-config` names. */
export const CUSTOM_KEYS = ['postgresql.conf', 'pg_hba.conf', 'setup.sql'] as const;

export interface CustomConfig {
  parameters: Record<string, string>;
  hba: string[];
  /** A reference to the SQL, which stays in the ConfigMap. */
  setupSql?: { name: string; key: string };
}

/** Reads the data of a ConfigMap. Throws CliError `usage` with the key and the line that is not understood. */
export function customConfigOf(name: string, data: Record<string, string>): CustomConfig {
  const unknown = Object.keys(data).filter((key) => !CUSTOM_KEYS.some((known) => known === key));
  if (unknown.length > 0 || Object.keys(data).length === 0) {
    throw new CliError(
      'usage',
      unknown.length > 0
        ? `ConfigMap ${name} has a key ${unknown.join(', ')}, which is not understood.`
        : `ConfigMap ${name} is empty.`,
      { hint: `It may have the keys ${CUSTOM_KEYS.join(', ')}.` },
    );
  }
  return {
    parameters: parametersOf(name, data['postgresql.conf'] ?? ''),
    hba: linesOf(data['pg_hba.conf'] ?? ''),
    ...(data['setup.sql'] === undefined ? {} : { setupSql: { name, key: 'setup.sql' } }),
  };
}

/** A name, an optional =, a value in quotes or without, an optional comment. */
const LINE = /^([A-Za-z_][\w$.]*)(?:\s*=\s*|\s+)(?:'((?:[^'\\]|''|\\.)*)'|([^\s'#]+))\s*(?:#.*)?$/;

function parametersOf(name: string, text: string): Record<string, string> {
  const parameters: Record<string, string> = {};
  text.split('\n').forEach((raw, i) => {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) return;
    const match = LINE.exec(line);
    if (!match || /^include/i.test(line)) {
      throw new CliError(
        'usage',
        `ConfigMap ${name}, postgresql.conf, line ${i + 1} is not understood: ${line}`,
        { hint: "Write name = value, with a value that holds blanks in '...'; include is not possible." },
      );
    }
    const [, key = '', quoted, bare] = match;
    parameters[key.toLowerCase()] = bare ?? unescaped(quoted ?? '');
  });
  return parameters;
}

/** As PostgreSQL reads a value in quotes: a doubled quote, or a backslash before any character. */
function unescaped(text: string): string {
  const known: Record<string, string> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f' };
  return text.replace(/''|\\(.)/g, (all, c: string | undefined) => (all === "''" ? "'" : (known[c!] ?? c!)));
}

function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}
