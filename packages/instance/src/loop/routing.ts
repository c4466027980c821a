/** Points the -rw Service at this instance (ELECTION 7). */
import { setTimeout as sleep } from 'node:timers/promises';
import { ANNOTATION_EPOCH, instanceLabels, LABEL_INSTANCE, names } from '@pgherd/api';
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
/** A leader that goes waits so long for -rw to leave it, */
const LEAVE_MS = 2_000;
const LOOK_MS = 25;
/** and so long for those who route by it. */
const SETTLE_MS = 250;

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

  /**
   * Waits until -rw selects another than us, for two seconds at most. Until our address is gone, who still connects to us is
   * refused at once and tries again; after that, nobody says anything to him. Never rejects.
   */
  async leave(): Promise<void> {
    const end = performance.now() + LEAVE_MS;
    while (performance.now() < end) {
      const service = await this.#read().catch(() => undefined);
      if (!service) return;
      if (service.spec?.selector?.[LABEL_INSTANCE] !== this.#o.instance) break;
      await sleep(LOOK_MS);
    }
    await sleep(SETTLE_MS);
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
