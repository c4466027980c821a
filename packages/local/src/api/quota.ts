/** ResourceQuota admission: what a new pod, claim or other object may still take of a namespace. */
import { compareQuantities, parseQuantity } from './quantity.ts';
import type { Store } from './store.ts';
import { type KubeObject, type Obj, objectAt, objectsAt, type Resource } from './types.ts';

const NANO = 1_000_000_000n;
const COMPUTE = ['cpu', 'memory', 'ephemeral-storage'];

/** `requested`, `used` and `limited` of one resource of a quota, as a refusal names them. */
interface Excess {
  resource: string;
  requested: string;
  used: string;
  limited: string;
}

/**
 * Why a quota of the namespace forbids a new object, in the words of Kubernetes; undefined where none does.
 * `object` has its defaults.
 */
export function quotaRefusal(store: Store, resource: Resource, object: KubeObject): string | undefined {
  for (const quota of store.list('resourcequotas', object.metadata.namespace)) {
    const hard = objectAt(quota, 'spec', 'hard') as Record<string, string>;
    const refusal = refusalOf(store, resource, object, quota.metadata.name, hard);
    if (refusal) return refusal;
  }
  return undefined;
}

function refusalOf(
  store: Store,
  resource: Resource,
  object: KubeObject,
  quota: string,
  hard: Record<string, string>,
): string | undefined {
  const concerned = Object.keys(hard).filter((name) => isAbout(name, resource));
  const unsaid = concerned.filter((name) => amountOf(name, object) === undefined);
  if (unsaid.length > 0) return `failed quota: ${quota}: must specify ${unsaid.join(',')}`;
  const others = store
    .list(resource.storage, object.metadata.namespace)
    .filter((other) => resource.storage !== 'pods' || !isOver(other));
  const excesses = concerned.flatMap((name): Excess[] => {
    const requested = amountOf(name, object) ?? 0n;
    const used = others.reduce((sum, other) => sum + (amountOf(name, other) ?? 0n), 0n);
    const limited = String(hard[name]);
    if (requested === 0n || compareQuantities(show(used + requested), limited) !== 1) return [];
    return [{ resource: name, requested: show(requested), used: show(used), limited }];
  });
  if (excesses.length === 0) return undefined;
  const list = (key: 'requested' | 'used' | 'limited') =>
    excesses.map((excess) => `${excess.resource}=${excess[key]}`).join(',');
  return `exceeded quota: ${quota}, requested: ${list('requested')}, used: ${list('used')}, limited: ${list('limited')}`;
}

function isOver(pod: KubeObject): boolean {
  return ['Succeeded', 'Failed'].includes(String(objectAt(pod, 'status').phase));
}

/** Whether an entry of a quota counts objects of this kind. */
function isAbout(name: string, { storage, plural, group }: Resource): boolean {
  if (name === `count/${group ? `${plural}.${group}` : plural}`) return true;
  if (storage === 'pods') return name === 'pods' || parts(name) !== undefined;
  if (storage === 'persistentvolumeclaims') return name === 'requests.storage' || name === plural;
  return group === '' && name === plural;
}

/** `requests.cpu` → requests, cpu; a bare `cpu` means its request. */
function parts(name: string): [kind: 'requests' | 'limits', resource: string] | undefined {
  const [kind, ...rest] = name.includes('.') ? name.split('.') : ['requests', name];
  const resource = rest.join('.');
  if ((kind !== 'requests' && kind !== 'limits') || !COMPUTE.includes(resource)) return undefined;
  return [kind, resource];
}

/** How much of it an object takes, in billionths; undefined where it has to say and does not. */
function amountOf(name: string, object: KubeObject): bigint | undefined {
  if (name === 'requests.storage')
    return quantity(objectAt(object, 'spec', 'resources', 'requests').storage) ?? 0n;
  const compute = parts(name);
  if (!compute) return NANO;
  const [kind, resource] = compute;
  let sum = 0n;
  for (const container of objectsAt(object, 'spec', 'containers')) {
    const amount = quantity(objectAt(container, 'resources', kind)[resource]);
    if (amount === undefined) return undefined;
    sum += amount;
  }
  return sum;
}

function quantity(value: unknown): bigint | undefined {
  return value === undefined ? undefined : parseQuantity(String(value));
}

/** Billionths as a quantity: whole, or in thousandths. */
function show(amount: bigint): string {
  return amount % NANO === 0n ? String(amount / NANO) : `${amount / 1_000_000n}m`;
}

/** The status of a new quota: enforced from the first moment. What is used is counted at each request. */
export function quotaStatus(quota: Obj): Obj {
  return { hard: objectAt(quota, 'spec', 'hard'), used: {} };
}
