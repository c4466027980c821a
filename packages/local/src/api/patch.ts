/** JSON patch (RFC 6902) and JSON merge patch (RFC 7386). */
import fastJsonPatch from 'fast-json-patch';
import { ApiError, badRequest } from './status.ts';
import { clone, isObject, type Obj } from './types.ts';

/** The target with a merge patch laid over it: null removes, objects merge, all else replaces. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return clone(patch);
  const result: Obj = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

/** The target after a list of JSON-patch operations; 422 when one of them fails, 400 when it is no such list. */
export function jsonPatch(target: Obj, patch: unknown): Obj {
  if (!Array.isArray(patch))
    throw badRequest('json: cannot unmarshal object into Go value of type jsonpatch.Patch');
  try {
    return fastJsonPatch.applyPatch(clone(target), patch as fastJsonPatch.Operation[], true, true, true)
      .newDocument;
  } catch (error) {
    const why = (error as Error).message.split('\n')[0] ?? 'unknown';
    throw new ApiError(
      422,
      'Invalid',
      `the server rejected our request due to an error in our request: ${why}`,
      {},
    );
  }
}
