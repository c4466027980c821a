/** The address plan of a local cluster. Nothing of it is seen from the host. */

export const SERVICE_CIDR = '10.96.0.0/16';
/** The API server's service; netd listens there in the router. */
export const API_ADDRESS = '10.96.0.1';
export const DNS_ADDRESS = '10.96.0.10';
export const CLUSTER_DOMAIN = 'cluster.local';

/** Every pod's default gateway: no machine has it, the node's side of the veth answers for it by its fixed MAC. */
export const GATEWAY = '169.254.1.1';
export const GATEWAY_MAC = 'ee:ee:ee:ee:ee:ee';

const FIRST_POD = 2;
const LAST_POD = 254;

/** The link between the router (`.1`) and node N (`.2`). */
export function linkAddresses(index: number): { router: string; node: string; device: string } {
  return { router: `10.243.${index}.1`, node: `10.243.${index}.2`, device: `n${index}` };
}

export function podCidr(index: number): string {
  return `10.244.${index}.0/24`;
}

/** A locally administered MAC made from an IPv4 address, so that no ARP is ever needed. */
export function macOf(ip: string): string {
  const hex = ip.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  return `02:42:${hex.join(':')}`;
}

/** Name of the node's side of a pod's veth; unique because the address is. */
export function podDevice(ip: string): string {
  const [, , node, host] = ip.split('.');
  return `p${node}-${host}`;
}

/**
 * The next free pod address of a node after the last one given. Goes round instead of taking the lowest, so
 * that an address is not given to another pod while somebody still talks to its old owner.
 */
export function nextPodAddress(index: number, used: ReadonlySet<string>, last?: string): string | undefined {
  const before = last === undefined ? FIRST_POD - 1 : Number(last.split('.')[3]);
  const span = LAST_POD - FIRST_POD + 1;
  for (let step = 1; step <= span; step++) {
    const host = FIRST_POD + ((before - FIRST_POD + step + span) % span);
    const ip = `10.244.${index}.${host}`;
    if (!used.has(ip)) return ip;
  }
  return undefined;
}
