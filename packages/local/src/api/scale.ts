/** The `/scale` subresource: an autoscaling/v1 Scale as a view of another object. */
import { selectorText } from './selectors.ts';
import { badRequest, invalid, invalidValue } from './status.ts';
import { at, clone, isObject, type KubeObject, type Obj, type Resource } from './types.ts';

/** The Scale of an object. */
export function scaleOf(object: KubeObject, resource: Resource): Obj {
  const paths = resource.scale;
  if (!paths) throw badRequest(`${resource.plural} have no scale`);
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const selector = paths.selectorPath ? at(object, ...paths.selectorPath) : undefined;
  const text =
    typeof selector === 'string' ? selector : isObject(selector) ? selectorText(selector) : undefined;
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, ...(namespace ? { namespace } : {}), uid, resourceVersion, creationTimestamp },
    spec: { replicas: Number(at(object, ...paths.specPath) ?? 0) },
    status: { replicas: Number(at(object, ...paths.statusPath) ?? 0), ...(text ? { selector: text } : {}) },
  };
}

/** A copy of the object with the replicas that a Scale asks for. Its resourceVersion, if any, becomes a precondition. */
export function withScale(object: KubeObject, resource: Resource, scale: unknown): KubeObject {
  const replicas = at(scale, 'spec', 'replicas') ?? 0;
  if (typeof replicas !== 'number' || !Number.isInteger(replicas) || replicas < 0) {
    throw invalid({ group: 'autoscaling', plural: 'scales', kind: 'Scale' }, object.metadata.name, [
      invalidValue('spec.replicas', replicas, 'should be a non-negative integer'),
    ]);
  }
  const next = clone(object);
  let parent: Obj = next;
  const path = resource.scale?.specPath ?? [];
  for (const step of path.slice(0, -1)) {
    if (!isObject(parent[step])) parent[step] = {};
    parent = parent[step] as Obj;
  }
  parent[path.at(-1) as string] = replicas;
  const version = at(scale, 'metadata', 'resourceVersion');
  next.metadata.resourceVersion =
    typeof version === 'string' && version ? version : object.metadata.resourceVersion;
  return next;
}
