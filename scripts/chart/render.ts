/**
 * Renders the chart without Helm: so much of Go's templates as the chart uses, and a refusal of everything else, so
 * that no template slips out of what the tests can see.
 */
import { stringify } from 'yaml';

type Node =
  | { type: 'text'; text: string }
  | { type: 'value'; pipeline: string }
  | { type: 'if' | 'with' | 'range'; pipeline: string; body: Node[]; otherwise: Node[] };

interface Block {
  type: 'if' | 'with' | 'range' | 'define';
  pipeline: string;
  body: Node[];
  otherwise: Node[];
  inElse: boolean;
}

/** Templates made known by `define`. */
export type Definitions = Map<string, Node[]>;

/** What `.` and `$` are. */
interface Scope {
  dot: unknown;
  root: unknown;
  definitions: Definitions;
}

/** Parses one file; its `define`s are added to `definitions`. Throws Error for what is not understood. */
export function parseTemplate(text: string, definitions: Definitions): Node[] {
  const top: Node[] = [];
  const stack: Block[] = [];
  const here = () => {
    const block = stack.at(-1);
    if (!block) return top;
    return block.inElse ? block.otherwise : block.body;
  };
  for (const token of tokens(text)) {
    if (token.type === 'text') {
      here().push(token);
      continue;
    }
    const [word = '', ...rest] = token.action.split(/\s+/);
    const pipeline = rest.join(' ');
    if (word === 'if' || word === 'with' || word === 'range' || word === 'define')
      stack.push({ type: word, pipeline, body: [], otherwise: [], inElse: false });
    else if (word === 'else') elseOf(stack.at(-1), pipeline);
    else if (word === 'end') {
      const block = stack.pop();
      if (!block) throw new Error('an end without a beginning');
      if (block.type === 'define') definitions.set(JSON.parse(block.pipeline) as string, block.body);
      else here().push({ ...block, type: block.type });
    } else here().push({ type: 'value', pipeline: token.action });
  }
  if (stack.length > 0) throw new Error(`${stack.at(-1)!.type} ${stack.at(-1)!.pipeline}: no end`);
  return top;
}

function elseOf(block: Block | undefined, pipeline: string): void {
  if (!block || block.inElse || pipeline) throw new Error(`else ${pipeline}: not understood`);
  block.inElse = true;
}

type Token = { type: 'text'; text: string } | { type: 'action'; action: string };

function tokens(text: string): Token[] {
  const found: Token[] = [];
  let at = 0;
  let trim = false;
  const addText = (raw: string, trimEnd: boolean) => {
    const started = trim ? raw.trimStart() : raw;
    const ended = trimEnd ? started.trimEnd() : started;
    if (ended) found.push({ type: 'text', text: ended });
  };
  for (const match of text.matchAll(/\{\{(- )?(.*?)( -)?\}\}/gs)) {
    addText(text.slice(at, match.index), match[1] !== undefined);
    at = match.index + match[0].length;
    trim = match[3] !== undefined;
    const action = match[2]!.trim();
    if (!action.startsWith('/*')) found.push({ type: 'action', action });
  }
  addText(text.slice(at), false);
  return found;
}

/** The text of a parsed template. */
export function renderNodes(nodes: Node[], scope: Scope): string {
  return nodes.map((node) => renderNode(node, scope)).join('');
}

function renderNode(node: Node, scope: Scope): string {
  if (node.type === 'text') return node.text;
  const value = evaluate(node.pipeline, scope);
  if (node.type === 'value') return asText(value);
  if (!isTruthy(value)) return renderNodes(node.otherwise, scope);
  if (node.type === 'if') return renderNodes(node.body, scope);
  if (node.type === 'with') return renderNodes(node.body, { ...scope, dot: value });
  if (!Array.isArray(value)) throw new Error(`range ${node.pipeline}: only lists are understood`);
  return value.map((item) => renderNodes(node.body, { ...scope, dot: item })).join('');
}

const functions: Record<string, (scope: Scope, ...args: unknown[]) => unknown> = {
  quote: (_, value) => JSON.stringify(asText(value)),
  default: (_, fallback, value) => (isTruthy(value) ? value : fallback),
  nindent: (_, width, text) =>
    `\n${asText(text)
      .split('\n')
      .map((line) => ' '.repeat(width as number) + line)
      .join('\n')}`,
  toYaml: (_, value) => stringify(value, { lineWidth: 0 }).trimEnd(),
  join: (_, separator, list) => (list as unknown[]).map(asText).join(separator as string),
  prepend: (_, list, item) => [item, ...(list as unknown[])],
  uniq: (_, list) => [...new Set(list as unknown[])],
  include: (scope, name, dot) => {
    const body = scope.definitions.get(name as string);
    if (!body) throw new Error(`include ${name}: not defined`);
    return renderNodes(body, { ...scope, dot, root: dot });
  },
};

function evaluate(pipeline: string, scope: Scope): unknown {
  let value: unknown;
  for (const [i, stage] of pipeline.split(' | ').entries()) {
    const words = stage.trim().match(/"[^"]*"|\S+/g) ?? [];
    const [head, ...rest] = words as [string, ...string[]];
    const args = rest.map((word) => operand(word, scope));
    if (i > 0) args.push(value);
    const call = functions[head];
    if (call) value = call(scope, ...args);
    else if (args.length === 0) value = operand(head, scope);
    else throw new Error(`${pipeline}: the function ${head} is not understood`);
  }
  return value;
}

function operand(word: string, scope: Scope): unknown {
  if (word.startsWith('"')) return JSON.parse(word);
  if (/^\d+$/.test(word)) return Number(word);
  const match = /^(\$?)((?:\.\w+)*|\.)$/.exec(word);
  if (!match || word === '') throw new Error(`${word}: not understood`);
  const path = match[2] === '.' ? [] : match[2]!.split('.').slice(1);
  return path.reduce<unknown>(
    (value, key) => (value as Record<string, unknown> | undefined)?.[key],
    match[1] ? scope.root : scope.dot,
  );
}

function isTruthy(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

function asText(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'object') throw new Error(`a ${Array.isArray(value) ? 'list' : 'map'} is no text`);
  return String(value);
}
