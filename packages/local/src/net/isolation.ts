/** A node that only clients still reach: rules in the router, in a table of their own for each such node. */
import { linkAddresses, podCidr } from './addresses.ts';
import { type Holder, runInside } from './namespaces.ts';

/** Everything to and from the node is dropped without a word, except TCP to these ports from these addresses and from here. */
export async function cutButFor(
  router: Holder,
  index: number,
  { addresses, ports }: { addresses: string[]; ports: number[] },
): Promise<void> {
  await runInside(router, ['nft', '-f', '-'], cutScript(index, addresses, ports));
}

/** Takes such rules back, where there are any. */
export async function uncut(router: Holder, index: number): Promise<void> {
  await runInside(router, ['nft', '-f', '-'], emptyScript(index));
}

const table = (index: number): string => `table ip isolation-${index}`;

/** A table that is made first can be deleted in any case. */
function emptyScript(index: number): string {
  return `add ${table(index)}\ndelete ${table(index)}\n`;
}

function cutScript(index: number, addresses: string[], ports: number[]): string {
  const node = `{ ${podCidr(index)}, ${linkAddresses(index).node} }`;
  const set = (all: (string | number)[]): string => `{ ${all.join(', ')} }`;
  const some = ports.length > 0;
  const among = some && addresses.length > 0;
  const forward = among
    ? [
        `ip daddr ${node} ip saddr ${set(addresses)} tcp dport ${set(ports)} accept`,
        `ip saddr ${node} ip daddr ${set(addresses)} tcp sport ${set(ports)} accept`,
      ]
    : [];
  const chains: [hook: string, rules: string[]][] = [
    ['forward', [...forward, `ip saddr ${node} drop`, `ip daddr ${node} drop`]],
    [
      'input',
      [...(some ? [`ip saddr ${node} tcp sport ${set(ports)} accept`] : []), `ip saddr ${node} drop`],
    ],
    [
      'output',
      [...(some ? [`ip daddr ${node} tcp dport ${set(ports)} accept`] : []), `ip daddr ${node} drop`],
    ],
  ];
  const text = chains.map(
    ([hook, rules]) =>
      `  chain ${hook} {\n    type filter hook ${hook} priority -5; policy accept;\n    ${rules.join('\n    ')}\n  }`,
  );
  return `${emptyScript(index)}${table(index)} {\n${text.join('\n')}\n}\n`;
}
