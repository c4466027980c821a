/** Points the -rw Service at this instance (ELECTION 7). */
import { ANNOTATION_EPOCH, instanceLabels, names } from '@pgherd/api';
import { type Client, isKubeError, kinds, type Service } from '@pgherd/kube';

export interface RouteOptions {
  client: Client;
  namespace: string;
  cluster: string;
  instance: string;
  epoch: number;
}

const TRIES = 3;
const TIMEOUT_MS = 2_000;

export class Routing {
  readonly #o: Omit<RouteOptions, 'epoch'>;
  /** The Service as last read, if it has not been used for a patch yet. */
  #seen: Service | undefined;

  constructor(options: Omit<RouteOptions, 'epoch'>) {
    this.#o = options;
  }

  /** Reads the Service, so that the next patch need not wait for that. Never rejects. */
  async look(): Promise<void> {
    this.#seen = await this.#read().catch(() => undefined);
  }

  /**
   * `ok`: -rw selects us under our epoch. `refused`: somebody with a higher epoch has it. `failed`: try again.
   * A patch carries the resourceVersion that was read, so a stale one changes nothing.
   */
  async route(epoch: number): Promise<'ok' | 'refused' | 'failed'> {
    for (let n = 0; n < TRIES; n++) {
      try {
        const service = this.#seen ?? (await this.#read());
        this.#seen = undefined;
        const patch = routingPatch(service, { ...this.#o, epoch });
        if (patch === 'done') return 'ok';
        if (patch === 'refused') return 'refused';
        await this.#o.client.patch(kinds.Service, this.#ref, {
          type: 'merge',
          body: patch,
          timeoutMs: TIMEOUT_MS,
          retry: false,
        });
        return 'ok';
      } catch (error) {
        if (!isKubeError(error, 'Conflict')) return 'failed';
      }
    }
    return 'failed';
  }

  get #ref(): { namespace: string; name: string } {
    return { namespace: this.#o.namespace, name: names(this.#o.cluster).rw };
  }

  #read(): Promise<Service> {
    return this.#o.client.get(kinds.Service, this.#ref, { timeoutMs: TIMEOUT_MS });
  }
}

/** The merge patch that routes to us, or why none is needed or allowed. */
export function routingPatch(
  service: Service,
  o: Pick<RouteOptions, 'cluster' | 'instance' | 'epoch'>,
): object | 'done' | 'refused' {
  const there = Number(service.metadata.annotations?.[ANNOTATION_EPOCH] ?? -1);
  if (there > o.epoch) return 'refused';
  const selector: Record<string, string> = service.spec?.selector ?? {};
  const wanted = instanceLabels(o.cluster, o.instance);
  const right =
    Object.keys(selector).length === Object.keys(wanted).length &&
    Object.entries(wanted).every(([key, value]) => selector[key] === value);
  if (right && there === o.epoch) return 'done';
  // A merge patch keeps what it does not name: other keys of the selector are taken away by null.
  const gone = Object.fromEntries(Object.keys(selector).map((key) => [key, null]));
  return {
    metadata: {
      resourceVersion: service.metadata.resourceVersion,
      annotations: { [ANNOTATION_EPOCH]: String(o.epoch) },
    },
    spec: { selector: { ...gone, ...wanted } },
  };
}
