/** The chart as Helm would render it, as objects. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../packages/kube/src/index.ts';
import { type Definitions, parseTemplate, renderNodes } from './render.ts';

export const CHART = join(import.meta.dirname, '..', '..', 'deploy', 'helm', 'pgherd');

export type Values = Record<string, unknown>;

export function chartYaml(): { version: string; appVersion: string } {
  return parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8'));
}

export function defaultValues(): Values {
  return parse(readFileSync(join(CHART, 'values.yaml'), 'utf8'));
}

/** What `helm template --namespace NAMESPACE` prints for these values over the defaults, without empty documents. */
export function renderChart(namespace: string, values: Values = {}): KubeObject[] {
  const definitions: Definitions = new Map();
  const folder = join(CHART, 'templates');
  // Helpers first: the rest includes what they define.
  const files = readdirSync(folder).sort((a, b) => Number(b.endsWith('.tpl')) - Number(a.endsWith('.tpl')));
  const parsed = files.map((name) => parseTemplate(readFileSync(join(folder, name), 'utf8'), definitions));
  const root = {
    Values: valuesWith(values),
    Release: { Namespace: namespace, Name: 'pgherd' },
    Chart: { AppVersion: chartYaml().appVersion },
  };
  return files.flatMap((name, i) => {
    const text = renderNodes(parsed[i]!, { dot: root, root, definitions });
    if (!name.endsWith('.yaml')) return [];
    return parseAllDocuments(text).flatMap((document) => {
      const [problem] = document.errors;
      if (problem) throw new Error(`${name}: ${problem.message}`);
      const object = document.toJS() as KubeObject | null;
      return object ? [object] : [];
    });
  });
}

/** The defaults with `values` over them. */
export function valuesWith(values: Values): Values {
  return merged(defaultValues(), values);
}

/** As Helm merges: maps by key, anything else as a whole. */
function merged(below: Values, above: Values): Values {
  const result: Values = { ...below };
  for (const [key, value] of Object.entries(above)) {
    const both = isMap(value) && isMap(below[key]);
    result[key] = both ? merged(below[key] as Values, value as Values) : value;
  }
  return result;
}

function isMap(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
