/** What the API would refuse in every pod of a cluster: found before a healthy one is replaced for it. Pure. */
import { compareQuantities, tryParseQuantity } from '@pgherd/api';
import type { SpecProblem } from './facts.ts';
import type { ClusterObject } from './kind.ts';

const NAME = /^(?=.{1,63}$)[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const PREFIX = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;

export function podProblems({ spec }: ClusterObject): SpecProblem[] {
  const { labels = {}, annotations = {} } = spec.inheritedMetadata ?? {};
  const field = 'spec.inheritedMetadata';
  return [
    ...requestsAboveLimits(spec.resources),
    ...badKeys(`${field}.labels`, Object.keys(labels)),
    // As Kubernetes does, whatever the case of their letters.
    ...badKeys(
      `${field}.annotations`,
      Object.keys(annotations).map((key) => key.toLowerCase()),
    ),
    ...Object.entries(labels)
      .filter(([, value]) => value !== '' && !NAME.test(value))
      .map(([key, value]) => ({
        field: `${field}.labels.${key}`,
        message: `'${value}' cannot be the value of a label`,
        hint: 'write at most 63 letters, digits, dashes, dots and underscores, with a letter or a digit at both ends',
      })),
  ];
}

function requestsAboveLimits({ requests = {}, limits = {} }: ClusterObject['spec']['resources'] = {}) {
  return Object.entries(requests).flatMap(([what, request]): SpecProblem[] => {
    const [wanted, most] = [String(request), String(limits[what] ?? '')];
    if ([wanted, most].some((each) => tryParseQuantity(each) === undefined)) return [];
    if (compareQuantities(wanted, most) <= 0) return [];
    return [
      {
        field: `spec.resources.requests.${what}`,
        message: `${wanted} is more than the limit of ${most}`,
        hint: `lower it, or raise spec.resources.limits.${what}`,
      },
    ];
  });
}

function badKeys(field: string, keys: string[]): SpecProblem[] {
  return keys
    .filter((key) => !isKey(key))
    .map((key) => ({
      field,
      message: `'${key}' cannot be a key`,
      hint: 'write NAME or PREFIX/NAME, of letters, digits, dashes, dots and underscores, with a letter or a digit at both ends',
    }));
}

function isKey(key: string): boolean {
  const slash = key.indexOf('/');
  return NAME.test(key.slice(slash + 1)) && (slash === -1 || PREFIX.test(key.slice(0, slash)));
}
