/** What service accounts have asked for, and whether they could: to hold the rights they have against their use. */
import type { Attributes } from './request.ts';

export interface AccessEntry {
  /** `system:serviceaccount:NAMESPACE:NAME`. */
  user: string;
  verb: string;
  group: string;
  /** With its subresource, as rules name it: `pods/log`. */
  resource: string;
  namespace?: string;
  /** The object, where the request names one. */
  name?: string;
  allowed: boolean;
  count: number;
}

/** More different requests than this are not told apart any more: nothing here may grow without end. */
const LIMIT = 20_000;

export class AccessRecord {
  readonly #entries = new Map<string, AccessEntry>();

  /** Takes in a decision. People, nodes and controllers are not recorded. */
  note({ user, verb, group, resource, subresource, namespace, name }: Attributes, allowed: boolean): void {
    if (!user.name.startsWith('system:serviceaccount:')) return;
    const full = subresource ? `${resource}/${subresource}` : resource;
    const key = [user.name, verb, group, full, namespace, name, allowed].join('\n');
    const entry = this.#entries.get(key);
    if (entry) entry.count += 1;
    else if (this.#entries.size < LIMIT)
      this.#entries.set(key, {
        user: user.name,
        verb,
        group,
        resource: full,
        ...(namespace ? { namespace } : {}),
        ...(name ? { name } : {}),
        allowed,
        count: 1,
      });
  }

  list(): AccessEntry[] {
    return [...this.#entries.values()];
  }
}
