/** The documentation keeps to what there is: its manifests, commands, fields, links and quoted messages are checked. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { Command } from 'commander';
import { parseAllDocuments } from 'yaml';
import { API_VERSION, type Cluster, definitionOf, KINDS, validateObject } from '../packages/api/src/index.ts';
import { makeProgram } from '../packages/cli/src/program.ts';
import { type Block, commandsOf, slug, splitPage, unwrapped } from './lib/markdown.ts';

const ROOT = join(import.meta.dirname, '..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const pages = ['README.md', 'ARCHITECTURE.md', ...globSync('docs/**/*.md', { cwd: ROOT }).sort()];
const examples = globSync('examples/**/*.yaml', { cwd: ROOT }).sort();
const scripts = (JSON.parse(read('package.json')) as { scripts: Record<string, string> }).scripts;
const references = KINDS.map(({ singular }) => read(`docs/reference/${singular}.md`)).join('\n');
const fields = new Set([...references.matchAll(/^\| `([^`]+)`/gm)].map(([, field]) => field));

/** Fragments leave out what has nothing to do with their point. */
function asCluster(value: unknown): unknown {
  const fragment = value as { kind?: string; spec?: Partial<Cluster['spec']> };
  if (fragment.kind !== undefined || fragment.spec === undefined) return value;
  const spec = { storage: { size: '1Gi' }, ...fragment.spec };
  return { apiVersion: API_VERSION, kind: 'Cluster', metadata: { name: 'demo' }, spec };
}

function problemsOf(yaml: string): string[] {
  return parseAllDocuments(yaml).flatMap((document) => {
    if (document.errors.length > 0) return document.errors.map(String);
    const value = asCluster(document.toJS());
    const definition = definitionOf(value);
    if (!definition) return [];
    return validateObject(definition, value).map(({ field, message }) => `${field}: ${message}`);
  });
}

/** A block whose first line is `# examples/NAME` shows that file, and all of it. */
function unlikeItsExample({ text }: Block): string[] {
  const path = /^# (examples\/\S+)\n/.exec(text)?.[1];
  if (path === undefined) return [];
  return text === `# ${path}\n${read(path)}` ? [] : [`the block is not what ${path} holds`];
}

/** Nothing is done: every command is parsed and then let go. */
function disarmed(): Command {
  const program = makeProgram();
  const visit = (command: Command): void => {
    command.configureOutput({ writeOut: () => {}, writeErr: () => {}, outputError: () => {} });
    if (command.commands.length === 0) command.action(() => {});
    for (const child of command.commands) visit(child);
  };
  visit(program);
  return program;
}

/** `named`: the command may only be named, as text does, without its arguments. */
async function usageError(words: string[], named: boolean): Promise<string | undefined> {
  try {
    await disarmed().parseAsync(words, { from: 'user' });
    return undefined;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    // A group of commands by itself shows its help.
    if (code === 'commander.help' || code === 'commander.helpDisplayed') return undefined;
    return named && code === 'commander.missingArgument' ? undefined : message;
  }
}

for (const page of pages) {
  const { blocks, prose } = splitPage(read(page));
  const generated = page.startsWith('docs/reference/');

  test(`${page}: manifests are valid`, () => {
    const yaml = blocks.filter(({ language }) => language === 'yaml');
    const wrong = yaml.flatMap((block) => [...problemsOf(block.text), ...unlikeItsExample(block)]);
    assert.deepEqual(wrong, []);
  });

  test(`${page}: command lines of pgherd are understood`, { skip: generated }, async () => {
    const wrong: string[] = [];
    const check = async (words: string[], named: boolean): Promise<void> => {
      const error = await usageError(words, named);
      if (error !== undefined) wrong.push(`pgherd ${words.join(' ')}: ${error}`);
    };
    for (const words of commandsOf(blocks, '', 'pgherd')) await check(words, false);
    for (const words of commandsOf([], prose, 'pgherd')) await check(words, true);
    assert.deepEqual(wrong, []);
  });

  test(`${page}: npm scripts exist`, () => {
    const wanted = commandsOf(blocks, prose, 'npm').flatMap(([verb, name]) => {
      if (verb === 'run') return name ?? '';
      return verb === 'start' || verb === 'test' ? verb : [];
    });
    assert.deepEqual(
      wanted.filter((name) => !(name in scripts)),
      [],
    );
  });

  test(`${page}: fields of the spec exist`, { skip: generated }, () => {
    const named = [...prose.matchAll(/`(spec\.[A-Za-z_.[\]]+)`/g)].map(([, field]) => field as string);
    assert.deepEqual(
      named.filter((field) => !fields.has(field)),
      [],
    );
  });

  test(`${page}: links lead somewhere`, () => {
    const wrong = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link]) => {
      if (/^[a-z]+:/.test(link as string)) return [];
      const [path, anchor] = (link as string).split('#') as [string, string | undefined];
      const target = path === '' ? page : join(dirname(page), path);
      if (!existsSync(join(ROOT, target))) return [`${link}: there is no ${target}`];
      if (anchor === undefined) return [];
      const headings = [...read(target).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
        slug(heading as string),
      );
      return headings.includes(anchor) ? [] : [`${link}: ${target} has no such heading`];
    });
    assert.deepEqual(wrong, []);
  });
}

test('messages quoted in headings and tables of troubleshooting are those of the programs', () => {
  const sources = globSync('{packages/*/src/**/*.{ts,sh},scripts/lib/*.mjs}', { cwd: ROOT })
    .filter((path) => !path.endsWith('.test.ts'))
    .map((path) => read(path).replaceAll("\\'", "'"))
    .join('\n');
  const lines = [...read('docs/troubleshooting.md').matchAll(/^(?:### (.+)|\| (`[^|]+) \|)/gm)];
  const quoted = lines.flatMap(([, heading, cell]) => [...(heading ?? cell ?? '').matchAll(/`([^`]+)`/g)]);
  const wrong = quoted
    .map(([, message]) => message as string)
    .filter((message) => !unwrapped(message).every((part) => sources.includes(part)));
  assert.ok(quoted.length > 0);
  assert.deepEqual(wrong, []);
});

test('every phase of a cluster is explained', () => {
  const union = /export type ClusterPhase =([^;]+);/.exec(read('packages/api/src/cluster/status.ts'))?.[1];
  const phases = [...(union ?? '').matchAll(/'(\w+)'/g)].map(([, phase]) => phase as string);
  const text = read('docs/phases.md');
  assert.ok(phases.length > 0);
  assert.deepEqual(
    phases.filter((phase) => !text.includes(`\n## ${phase}\n`)),
    [],
  );
});

for (const path of examples) {
  test(`${path} is valid and is used by a test`, () => {
    assert.deepEqual(problemsOf(read(path)), []);
    const name = path.slice('examples/'.length);
    const users = globSync(['e2e/src/**/*.ts', 'packages/*/src/**/*.test.ts'], { cwd: ROOT });
    assert.ok(
      users.some((user) => read(user).includes(name)),
      `no test names ${path}`,
    );
  });
}
