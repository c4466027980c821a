/** Addresses and node ports of Services. */
import { ApiError, invalid, invalidValue } from './status.ts';
import type { Store } from './store.ts';
import { type KubeObject, objectAt, objectsAt, same } from './types.ts';

const SERVICE = { group: '', plural: 'services', kind: 'Service' };
const FIRST_DYNAMIC = 256; // 10.96.0.x is for well-known addresses (the API, DNS).
const SIZE = 65536;
const FIRST_NODE_PORT = 30000;
const NODE_PORTS = 2768;

/** The address at an offset of 10.96.0.0/16. */
function addressAt(offset: number): string {
  return `10.96.${offset >> 8}.${offset & 255}`;
}

export class ClusterIps {
  readonly #used = new Set<string>();
  readonly #nodePorts = new Set<number>();
  #next = FIRST_DYNAMIC;

  constructor(store: Store) {
    for (const service of store.list('services')) this.#claim(service);
  }

  #claim(service: KubeObject): void {
    const spec = objectAt(service, 'spec');
    if (typeof spec.clusterIP === 'string' && spec.clusterIP !== 'None') this.#used.add(spec.clusterIP);
    for (const port of objectsAt(spec, 'ports'))
      if (typeof port.nodePort === 'number') this.#nodePorts.add(port.nodePort);
  }

  release(service: KubeObject): void {
    const spec = objectAt(service, 'spec');
    this.#used.delete(String(spec.clusterIP));
    for (const port of objectsAt(spec, 'ports')) this.#nodePorts.delete(Number(port.nodePort));
  }

  /** Gives a Service what it lacks, in place. Throws 422 for an address that is taken or out of range. */
  assign(service: KubeObject, old: KubeObject | undefined): void {
    const spec = objectAt(service, 'spec');
    if (spec.type === 'ExternalName') return;
    if (spec.clusterIP === undefined || spec.clusterIP === '') spec.clusterIP = this.#free();
    else if (spec.clusterIP !== objectAt(old, 'spec').clusterIP) this.#check(service, String(spec.clusterIP));
    if (!same(spec.clusterIPs, [spec.clusterIP])) spec.clusterIPs = [spec.clusterIP];
    if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') {
      for (const port of objectsAt(spec, 'ports')) port.nodePort ??= this.#freeNodePort();
    }
    this.#claim(service);
  }

  #check(service: KubeObject, address: string): void {
    if (address === 'None') return;
    const match = /^10\.96\.(\d{1,3})\.(\d{1,3})$/.exec(address);
    if (!match) {
      throw invalid(SERVICE, service.metadata.name, [
        invalidValue(
          'spec.clusterIPs',
          [address],
          'failed to allocate IP: the provided IP is not in the valid range. The range of valid IPs is 10.96.0.0/16',
        ),
      ]);
    }
    if (this.#used.has(address)) {
      throw invalid(SERVICE, service.metadata.name, [
        invalidValue('spec.clusterIPs', [address], 'failed to allocate IP: provided IP is already allocated'),
      ]);
    }
  }

  #free(): string {
    for (let tries = 0; tries < SIZE; tries++) {
      const address = addressAt(this.#next);
      this.#next = this.#next + 1 >= SIZE - 1 ? FIRST_DYNAMIC : this.#next + 1;
      if (!this.#used.has(address)) return address;
    }
    throw new ApiError(500, 'InternalError', 'failed to allocate a serviceIP: range is full');
  }

  #freeNodePort(): number {
    for (let offset = 0; offset < NODE_PORTS; offset++) {
      const port = FIRST_NODE_PORT + offset;
      if (this.#nodePorts.has(port)) continue;
      this.#nodePorts.add(port);
      return port;
    }
    throw new ApiError(500, 'InternalError', 'failed to allocate a nodePort: range is full');
  }
}
