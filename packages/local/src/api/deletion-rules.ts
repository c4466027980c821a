/** When an object that is being deleted may go. Pure. */
import { newFinalizer } from './names.ts';
import type { FieldError } from './status.ts';
import { type KubeObject, objectAt } from './types.ts';

/** DeleteOptions as they count here. */
export interface DeleteOptions {
  gracePeriodSeconds?: number;
  propagationPolicy?: string;
  preconditions?: { uid?: string; resourceVersion?: string };
}

/** An object on its way out takes no new finalizers. */
export function finalizerErrors(object: KubeObject, old: KubeObject): FieldError[] {
  if (!old.metadata.deletionTimestamp) return [];
  const before = old.metadata.finalizers ?? [];
  const added = (object.metadata.finalizers ?? []).filter((name) => !before.includes(name));
  return added.length ? [newFinalizer(added)] : [];
}

/** Whether an object that is being deleted has nothing left to wait for. */
export function mayGo(object: KubeObject): boolean {
  const { metadata } = object;
  if (!metadata.deletionTimestamp || metadata.finalizers?.length) return false;
  if (object.kind === 'Pod' && (metadata.deletionGracePeriodSeconds ?? 0) > 0) return false;
  return !isLiveNamespace(object.kind === 'Namespace' ? 'namespaces' : '', object);
}

/** Namespaces also wait for their own `spec.finalizers`, which the namespace controller removes. */
export function isLiveNamespace(storage: string, object: KubeObject): boolean {
  const finalizers = objectAt(object, 'spec').finalizers;
  return storage === 'namespaces' && Array.isArray(finalizers) && finalizers.length > 0;
}

/** The finalizers of an object whose deletion begins. */
export function finalizersFor(old: KubeObject, options: DeleteOptions): string[] {
  const others = (old.metadata.finalizers ?? []).filter(
    (name) => name !== 'orphan' && name !== 'foregroundDeletion',
  );
  switch (options.propagationPolicy) {
    case 'Foreground':
      return [...others, 'foregroundDeletion'];
    case 'Orphan':
      return [...others, 'orphan'];
    case 'Background':
      return others;
    default:
      return old.metadata.finalizers ?? [];
  }
}
