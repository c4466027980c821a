import type { LabelSelector, LabelSelectorRequirement } from './objects.ts';

type Labels = Record<string, string> | undefined;

/** True when `labels` has all of `wanted`. An empty `wanted` matches all. */
export function hasLabels(labels: Labels, wanted: Record<string, string>): boolean {
  for (const key in wanted) if (labels?.[key] !== wanted[key]) return false;
  return true;
}

/** True when the requirement holds for the labels of an object, or of a node (Gt and Lt too). */
export function matchesRequirement(labels: Labels, requirement: LabelSelectorRequirement): boolean {
  const value = labels?.[requirement.key];
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return value !== undefined && Number(value) > Number(values[0]);
    case 'Lt':
      return value !== undefined && Number(value) < Number(values[0]);
    default:
      return false;
  }
}

/** Kubernetes' rule: no selector matches nothing, an empty one everything. */
export function matchesSelector(labels: Labels, selector: LabelSelector | undefined): boolean {
  if (!selector) return false;
  return (
    hasLabels(labels, selector.matchLabels ?? {}) &&
    (selector.matchExpressions ?? []).every((requirement) => matchesRequirement(labels, requirement))
  );
}
