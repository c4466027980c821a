import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LocalError } from '../errors.ts';
import { nextPodAddress, podCidr } from '../net/addresses.ts';
import { writeJson } from '../state.ts';

/** Gives out a node's pod addresses, round robin across the agent's lives. */
export class AddressPool {
  private readonly index: number;
  private readonly used = new Set<string>();
  private readonly file: string;
  private last: string | undefined;

  constructor(index: number, dir: string, inUse: Iterable<string>) {
    this.index = index;
    this.file = join(dir, 'last-address.json');
    for (const ip of inUse) this.used.add(ip);
    try {
      this.last = JSON.parse(readFileSync(this.file, 'utf8')) as string;
    } catch {
      // The first of this node.
    }
  }

  /** @throws LocalError NetworkFailed when all are given */
  allocate(): string {
    const ip = nextPodAddress(this.index, this.used, this.last);
    if (!ip) throw new LocalError('NetworkFailed', `no address is left in ${podCidr(this.index)}`);
    this.used.add(ip);
    this.last = ip;
    writeJson(this.file, ip);
    return ip;
  }

  release(ip: string): void {
    this.used.delete(ip);
  }
}
