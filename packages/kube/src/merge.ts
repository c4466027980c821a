import { sameQuantity } from './quantity.ts';

type Fields = Record<string, unknown>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function at(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

/** Where the values are quantities, which the API may give back in another spelling. */
const QUANTITIES = /(^|\.)(requests|limits|capacity|hard)\.[^.]+$|\.(sizeLimit|divisor)$/;

/** True when something in `desired` is not so in `current`; at `exact` paths, also when something is more. */
export function differs(desired: unknown, current: unknown, exact: string[] = [], path = ''): boolean {
  if (desired === undefined) return false;
  if (desired === null) return current !== undefined && current !== null;
  if (Array.isArray(desired)) {
    if (desired.length === 0 && current === undefined) return false;
    if (!Array.isArray(current) || current.length !== desired.length) return true;
    return desired.some((item, index) => differs(item, current[index], exact, path));
  }
  if (isFields(desired)) {
    // An empty map that the API dropped is no difference; `emptyDir: {}` in a list it keeps.
    if (!isFields(current)) return current !== undefined || Object.keys(desired).length > 0;
    if (exact.includes(path) && Object.keys(current).some((key) => desired[key] === undefined)) return true;
    return Object.keys(desired).some((key) => differs(desired[key], current[key], exact, at(path, key)));
  }
  if (desired === current) return false;
  return !(QUANTITIES.test(path) && sameQuantity(desired, current));
}

/** A new object: `current` with `desired` laid over it. Null removes; nothing of either is shared or changed. */
export function merge(current: unknown, desired: unknown, exact: string[] = [], path = ''): unknown {
  if (desired === undefined) return structuredClone(current);
  if (Array.isArray(desired)) return mergeLists(current, desired, exact, path);
  if (!isFields(desired)) return desired;
  const merged: Fields = isFields(current) && !exact.includes(path) ? structuredClone(current) : {};
  for (const [key, value] of Object.entries(desired)) {
    if (value === null) delete merged[key];
    else if (value !== undefined)
      merged[key] = merge(isFields(current) ? current[key] : undefined, value, exact, at(path, key));
  }
  return merged;
}

/** Items that are the same by name keep the defaults the API gave them; all else is as desired. */
function mergeLists(current: unknown, desired: unknown[], exact: string[], path: string): unknown[] {
  const known = Array.isArray(current) ? current : [];
  return desired.map((item, index) => {
    if (!isFields(item)) return structuredClone(item);
    const same =
      typeof item.name === 'string'
        ? known.find((other) => isFields(other) && other.name === item.name)
        : known.length === desired.length
          ? known[index]
          : undefined;
    return merge(same, item, exact, path);
  });
}
