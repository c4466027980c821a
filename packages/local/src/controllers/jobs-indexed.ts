/** Jobs of completionMode Indexed: each pod has a number, and each number must succeed once. Pure. */
import type { Job, Pod } from '@pgherd/kube';
import { isActive } from './pods.ts';

/** Annotation and label of a pod with its number. */
export const INDEX = 'batch.kubernetes.io/job-completion-index';

export function isIndexed({ spec }: Job): boolean {
  return spec.completionMode === 'Indexed';
}

export function indexOf({ metadata }: Pod): number {
  return Number(metadata.annotations?.[INDEX] ?? -1);
}

/** The numbers that have succeeded, also those whose pods are gone. */
export function completedIndexes(job: Job, owned: Pod[]): Set<number> {
  const done = owned.filter(({ status }) => status?.phase === 'Succeeded').map(indexOf);
  return new Set([...readIndexes(job.status?.completedIndexes), ...done].filter((index) => index >= 0));
}

/** The lowest numbers that neither succeeded nor have a pod at work, at most `count`. */
export function missingIndexes(job: Job, owned: Pod[], count: number): number[] {
  const taken = new Set([...completedIndexes(job, owned), ...owned.filter(isActive).map(indexOf)]);
  return Array.from({ length: job.spec.completions ?? 0 }, (_, index) => index)
    .filter((index) => !taken.has(index))
    .slice(0, count);
}

/** `0-2,5` as its numbers. */
export function readIndexes(text = ''): number[] {
  return text
    .split(',')
    .filter(Boolean)
    .flatMap((part) => {
      const [first = 0, last = first] = part.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
}

/** Numbers as Kubernetes writes them: `0-2,5`. */
export function writeIndexes(indexes: Iterable<number>): string {
  const ranges: [number, number][] = [];
  for (const index of [...indexes].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && index <= last[1] + 1) last[1] = index;
    else ranges.push([index, index]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}

/** The template of the pod with this number. */
export function withIndex(template: Job['spec']['template'], name: string, index: number) {
  const env = [{ name: 'JOB_COMPLETION_INDEX', value: String(index) }];
  const known = <C extends { env?: { name: string; value?: string }[] }>(container: C): C => ({
    ...container,
    env: [...(container.env ?? []), ...env],
  });
  const { metadata, spec } = template;
  return {
    metadata: {
      ...metadata,
      labels: { ...metadata?.labels, [INDEX]: String(index) },
      annotations: { ...metadata?.annotations, [INDEX]: String(index) },
    },
    spec: {
      ...spec,
      hostname: `${name}-${index}`,
      containers: spec.containers.map(known),
      ...(spec.initContainers ? { initContainers: spec.initContainers.map(known) } : {}),
    },
  };
}
