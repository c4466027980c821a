import { SERVICE_CIDR } from './addresses.ts';
import { run } from './namespaces.ts';
import type { ServicePortTable } from './services.ts';

/** Addresses in the service range that the router itself answers. */
const OWN = '10.96.0.1, 10.96.0.10';

/**
 * The table without services. Traffic to a service's address that no rule translated is refused at once, as
 * kube-proxy does for a service without endpoints. A pod that reaches itself through a service must see another
 * source than itself, or it drops the packet.
 */
const FRAME = `table ip pgherd {
  map services { type ipv4_addr . inet_proto . inet_service : verdict; }
  set hairpin { type ipv4_addr . ipv4_addr; }
  chain translate { ip daddr . meta l4proto . th dport vmap @services; }
  chain prerouting { type nat hook prerouting priority dstnat; policy accept; jump translate; }
  chain postrouting { type nat hook postrouting priority srcnat; policy accept; ip saddr . ip daddr @hairpin masquerade; }
  chain untranslated {
    ip daddr { ${OWN} } accept
    ip daddr ${SERVICE_CIDR} meta l4proto tcp reject with tcp reset
    ip daddr ${SERVICE_CIDR} reject
  }
  chain refuse_in { type filter hook prerouting priority -90; policy accept; jump untranslated; }
}
`;

/** What is in force: one entry a service port, by its key. */
export type Programmed = Map<string, string>;

export interface Program {
  /** One transaction for \`nft -f -\`; empty when nothing differs. */
  script: string;
  next: Programmed;
}

/** The whole table from nothing: replaces whatever is there in one transaction. */
export function fullProgram(table: ServicePortTable[]): Program {
  const change = changes(new Map(), table);
  return { script: `table ip pgherd\ndelete table ip pgherd\n${FRAME}${change.script}`, next: change.next };
}

/** Only what differs from what is in force. */
export function changes(programmed: Programmed, table: ServicePortTable[]): Program {
  const next: Programmed = new Map();
  const lines: string[] = [];
  for (const row of table) {
    const key = keyOf(row);
    const rule = ruleOf(row);
    next.set(key, rule);
    if (programmed.get(key) === rule) continue;
    lines.push(...replaceLines(row, key, programmed.get(key)));
  }
  for (const [key, rule] of programmed) {
    if (!next.has(key)) lines.push(...removeLines(key, rule));
  }
  return { script: lines.map((line) => `${line}\n`).join(''), next };
}

function replaceLines(row: ServicePortTable, key: string, before: string | undefined): string[] {
  const rule = ruleOf(row);
  if (rule === '') return before === undefined || before === '' ? [] : removeLines(key, before);
  const chain = chainOf(key);
  const lines = [`add chain ip pgherd ${chain}`, `flush chain ip pgherd ${chain}`];
  for (const ip of new Set(row.backends.map((backend) => backend.split(':')[0]!)))
    lines.push(`add element ip pgherd hairpin { ${ip} . ${ip} }`);
  lines.push(`add rule ip pgherd ${chain} ${rule}`);
  lines.push(`add element ip pgherd services { ${key} : goto ${chain} }`);
  return lines;
}

function removeLines(key: string, rule: string): string[] {
  if (rule === '') return [];
  const chain = chainOf(key);
  return [
    `delete element ip pgherd services { ${key} }`,
    `flush chain ip pgherd ${chain}`,
    `delete chain ip pgherd ${chain}`,
  ];
}

const keyOf = (row: ServicePortTable): string => `${row.clusterIP} . ${row.protocol} . ${row.port}`;

const chainOf = (key: string): string => `s_${key.replaceAll(/[ .]+/g, '_')}`;

function ruleOf({ backends, protocol }: ServicePortTable): string {
  if (backends.length === 0) return '';
  const [first] = backends;
  if (backends.length === 1) return `meta l4proto ${protocol} dnat to ${first}`;
  const choices = backends.map((backend, index) => `${index} : ${backend.replace(':', ' . ')}`);
  return `meta l4proto ${protocol} dnat ip to numgen random mod ${backends.length} map { ${choices.join(', ')} }`;
}

/** Hands a script to the kernel: all of it or nothing. Runs in the caller's network namespace. */
export async function applyProgram(script: string): Promise<void> {
  if (script !== '') await run('nft', ['-f', '-'], script);
}
