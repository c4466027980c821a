import {
  API_ADDRESS,
  DNS_ADDRESS,
  GATEWAY,
  GATEWAY_MAC,
  linkAddresses,
  macOf,
  podCidr,
} from './addresses.ts';
import { type Holder, runInside } from './namespaces.ts';

// The kernel forwards here, and must neither advise shortcuts past the router nor drop what took one side only.
const FORWARDING = [
  'echo 1 >/proc/sys/net/ipv4/ip_forward',
  'for d in all default; do',
  '  echo 0 >/proc/sys/net/ipv4/conf/$d/send_redirects',
  '  echo 0 >/proc/sys/net/ipv4/conf/$d/rp_filter',
  'done',
].join('\n');

/** Prepares the router's namespace: forwarding, and the addresses that netd listens on. */
export async function setUpRouter(router: Holder): Promise<void> {
  await runInside(
    router,
    ['sh', '-e', '-s'],
    `${FORWARDING}
ip -batch - <<END
link set lo up
address replace ${API_ADDRESS}/32 dev lo
address replace ${DNS_ADDRESS}/32 dev lo
END
`,
  );
}

/**
 * Joins a node's namespace to the router. Whatever leaves a pod goes up to the router, even to a pod of the same
 * node: services are resolved there, and answers must come back the same way.
 */
export async function setUpNode(router: Holder, holder: Holder, index: number): Promise<void> {
  const link = linkAddresses(index);
  await runInside(
    router,
    ['ip', '-batch', '-'],
    `link add ${link.device} address ${macOf(link.router)} type veth peer name up0 address ${macOf(link.node)} netns ${holder.pid}
link set ${link.device} addrgenmode none
${routerLinkUp(index)}`,
  );
  await runInside(
    holder,
    ['sh', '-e', '-s'],
    `${FORWARDING}
ip -batch - <<END
link set lo up
link set up0 addrgenmode none
address add ${link.node}/30 dev up0
link set up0 up
neighbour replace ${link.router} lladdr ${macOf(link.router)} dev up0 nud permanent
route add default via ${link.router} dev up0
route add default via ${link.router} dev up0 table 100
rule add preference 5 iif lo lookup main
rule add preference 6 iif up0 lookup main
rule add preference 7 lookup 100
END
`,
  );
}

/** Nobody's: what is sent there is lost without a word. */
const NOWHERE_MAC = '02:00:00:00:00:00';

/**
 * Cuts a node's link, or mends it. Cut as a cable is cut at the far end: each side sends into nothing and hears
 * nothing, no error comes back. (A link that is down would answer every packet with "no route" at once, which no
 * real partition does.)
 */
export async function setLink(router: Holder, node: Holder, index: number, up: boolean): Promise<void> {
  const link = linkAddresses(index);
  const far = up ? macOf(link.node) : NOWHERE_MAC;
  const near = up ? macOf(link.router) : NOWHERE_MAC;
  const neighbour = (ip: string, mac: string, device: string): string[] =>
    `ip neighbour replace ${ip} lladdr ${mac} dev ${device} nud permanent`.split(' ');
  await Promise.all([
    runInside(router, neighbour(link.node, far, link.device)),
    runInside(node, neighbour(link.router, near, 'up0')),
  ]);
}

/** Removes a node's link, with the node's namespace or before it. */
export async function removeLink(router: Holder, index: number): Promise<void> {
  await runInside(router, ['ip', 'link', 'delete', linkAddresses(index).device]).catch(() => {});
}

function routerLinkUp(index: number): string {
  const link = linkAddresses(index);
  return `address replace ${link.router}/30 dev ${link.device}
link set ${link.device} up
neighbour replace ${link.node} lladdr ${macOf(link.node)} dev ${link.device} nud permanent
route replace ${podCidr(index)} via ${link.node} dev ${link.device}
`;
}

/** `ip -batch` lines for inside a pod's new namespace: make the veth pair, its far end in the node's. */
export function podLinkInside(ip: string, device: string, nodePid: number): string {
  return `link add eth0 address ${macOf(ip)} type veth peer name ${device} address ${GATEWAY_MAC} netns ${nodePid}
link set lo up
link set eth0 addrgenmode none
address add ${ip}/32 dev eth0
link set eth0 up
neighbour add ${GATEWAY} lladdr ${GATEWAY_MAC} dev eth0 nud permanent
route add ${GATEWAY} dev eth0 scope link
route add default via ${GATEWAY} dev eth0
`;
}

/** `ip -batch` lines for the node's side of a pod's veth. */
export function podLinkOutside(ip: string, device: string): string {
  return `link set ${device} addrgenmode none
link set ${device} up
neighbour replace ${ip} lladdr ${macOf(ip)} dev ${device} nud permanent
route replace ${ip}/32 dev ${device}
`;
}
