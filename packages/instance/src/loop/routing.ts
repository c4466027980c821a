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

/**
 * `ok`: -rw selects us under our epoch. `refused`: somebody with a higher epoch has it. `failed`: try again.
 * A patch carries the resourceVersion that was read, so a stale one changes nothing.
 */
export async function route(o: RouteOptions): Promise<'ok' | 'refused' | 'failed'> {
  const ref = { namespace: o.namespace, name: names(o.cluster).rw };
  for (let n = 0; n < TRIES; n++) {
    try {
      const service = await o.client.get(kinds.Service, ref, { timeoutMs: TIMEOUT_MS });
      const patch = routingPatch(service, o);
      if (patch === 'done') return 'ok';
      if (patch === 'refused') return 'refused';
      await o.client.patch(kinds.Service, ref, {
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
