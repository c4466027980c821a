/** Between what is stored and what a version shows: apiVersion, and the two faces of Event. */
import { apiVersionOf } from './registry.ts';
import type { KubeObject, Obj, Resource } from './types.ts';

/** Field names of events.k8s.io/v1 and what they are called in the stored core/v1 form. */
const EVENT_FIELDS: [newName: string, coreName: string][] = [
  ['regarding', 'involvedObject'],
  ['note', 'message'],
  ['reportingController', 'reportingComponent'],
  ['deprecatedSource', 'source'],
  ['deprecatedFirstTimestamp', 'firstTimestamp'],
  ['deprecatedLastTimestamp', 'lastTimestamp'],
  ['deprecatedCount', 'count'],
];

function isNewEvent(resource: Resource): boolean {
  return resource.group === 'events.k8s.io';
}

/** A stored object as a version shows it. The stored object itself when there is nothing to change. */
export function outward(object: KubeObject, resource: Resource): KubeObject {
  const apiVersion = apiVersionOf(resource);
  if (!isNewEvent(resource)) return object.apiVersion === apiVersion ? object : { ...object, apiVersion };
  return { ...renamed(object, EVENT_FIELDS), apiVersion } as KubeObject;
}

/** A body in a version's form, as it is stored. */
export function inward(body: unknown, resource: Resource): unknown {
  if (!isNewEvent(resource) || typeof body !== 'object' || body === null) return body;
  return renamed(
    body as Obj,
    EVENT_FIELDS.map(([newName, coreName]) => [coreName, newName]),
  );
}

function renamed(object: Obj, fields: [to: string, from: string][]): Obj {
  const result = { ...object };
  for (const [to, from] of fields) {
    if (result[from] === undefined) continue;
    result[to] = result[from];
    delete result[from];
  }
  return result;
}
