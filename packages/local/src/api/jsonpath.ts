/** The part of JSONPath that printer columns use: fields, indexes, wildcards, `[?(@.type=="Ready")]`. */
import { isObject } from './types.ts';

type Step =
  | { kind: 'field'; name: string }
  | { kind: 'index'; at: number }
  | { kind: 'all' }
  | { kind: 'filter'; path: Step[]; equals: string; negate: boolean };

const parsed = new Map<string, Step[]>();

/** All values that a path finds; an unreadable path finds none. */
export function jsonPathValues(root: unknown, path: string): unknown[] {
  let steps = parsed.get(path);
  if (!steps) {
    steps = parse(path);
    parsed.set(path, steps);
  }
  return follow([root], steps);
}

function parse(path: string): Step[] {
  const steps: Step[] = [];
  const pattern =
    /\.((?:[^.[\]\\]|\\.)+)|\[\s*'([^']*)'\s*\]|\[\s*(-?\d+)\s*\]|\[\s*(\*)\s*\]|\[\?\(\s*@((?:\.[^=!\s]+)?)\s*(==|!=)\s*(?:"([^"]*)"|'([^']*)'|([^)\s]+))\s*\)\]/g;
  for (const match of path.matchAll(pattern)) {
    const [, field, quoted, index, star, filterPath, operator, double, single, bare] = match;
    if (field !== undefined)
      steps.push(field === '*' ? { kind: 'all' } : { kind: 'field', name: field.replace(/\\(.)/g, '$1') });
    else if (quoted !== undefined) steps.push({ kind: 'field', name: quoted });
    else if (index !== undefined) steps.push({ kind: 'index', at: Number(index) });
    else if (star !== undefined) steps.push({ kind: 'all' });
    else if (filterPath !== undefined) {
      steps.push({
        kind: 'filter',
        path: parse(filterPath),
        equals: double ?? single ?? bare ?? '',
        negate: operator === '!=',
      });
    }
  }
  return steps;
}

function follow(values: unknown[], steps: Step[]): unknown[] {
  let here = values;
  for (const step of steps) here = here.flatMap((value) => take(value, step));
  return here.filter((value) => value !== undefined);
}

function take(value: unknown, step: Step): unknown[] {
  switch (step.kind) {
    case 'field':
      return isObject(value) ? [value[step.name]] : [];
    case 'index':
      return Array.isArray(value) ? [value.at(step.at)] : [];
    case 'all':
      return Array.isArray(value) ? value : isObject(value) ? Object.values(value) : [];
    case 'filter':
      if (!Array.isArray(value)) return [];
      return value.filter(
        (item) => follow([item], step.path).some((found) => String(found) === step.equals) !== step.negate,
      );
  }
}
