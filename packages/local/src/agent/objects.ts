import {
  type Cache,
  type Client,
  createCache,
  type Kind,
  type KubeObject,
  kinds,
  type Log,
  type Pod,
} from '@pgherd/kube';
import { LocalError } from '../errors.ts';
import type { VolumeReader } from './volumes.ts';

interface Watched {
  cache: Cache<KubeObject>;
  end: AbortController;
  users: Map<string, () => void>;
}

/**
 * The secrets and config maps that pods of this node use: each watched by itself while somebody uses it, so that
 * a change reaches the pods at once and nothing is polled.
 */
export class ObjectWatcher {
  private readonly watched = new Map<string, Watched>();
  private readonly client: Client;
  private readonly log: Log;

  constructor(client: Client, log: Log) {
    this.client = client;
    this.log = log;
  }

  /** The object, or undefined when there is none. `changed` is called on its later changes, until `release`. */
  async get<T extends KubeObject>(
    kind: Kind<T>,
    namespace: string,
    name: string,
    user: string,
    changed: () => void,
  ): Promise<T | undefined> {
    const key = `${kind.plural}/${namespace}/${name}`;
    let watched = this.watched.get(key);
    if (!watched) {
      watched = this.watch(kind, namespace, name);
      this.watched.set(key, watched);
    }
    watched.users.set(user, changed);
    await within(watched.cache.synced(), 5000, `reading ${kind.plural} "${name}"`);
    return watched.cache.get(namespace, name) as T | undefined;
  }

  /** A user needs its objects no more. */
  release(user: string): void {
    for (const [key, watched] of this.watched) {
      watched.users.delete(user);
      if (watched.users.size > 0) continue;
      watched.end.abort();
      this.watched.delete(key);
    }
  }

  private watch<T extends KubeObject>(kind: Kind<T>, namespace: string, name: string): Watched {
    const cache = createCache(this.client, kind, {
      namespace,
      fieldSelector: `metadata.name=${name}`,
      log: this.log,
    });
    const watched: Watched = {
      cache: cache as unknown as Cache<KubeObject>,
      end: new AbortController(),
      users: new Map(),
    };
    cache.start(watched.end.signal);
    let first = true;
    cache
      .synced()
      .then(() => {
        cache.onChange(() => {
          if (!first) for (const changed of watched.users.values()) changed();
        });
        first = false;
      })
      .catch(() => {});
    return watched;
  }
}

async function within<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => timeout.reject(new LocalError('Timeout', `${what}: the API does not answer`)),
    ms,
  );
  return Promise.race([promise, timeout.promise]).finally(() => clearTimeout(timer));
}

/** The reader of one pod. */
export function readerOf(
  client: Client,
  watcher: ObjectWatcher,
  pod: Pod,
  changed: () => void,
): VolumeReader {
  const namespace = pod.metadata.namespace!;
  const user = pod.metadata.uid!;
  return {
    secret: (name) => watcher.get(kinds.Secret, namespace, name, user, changed),
    configMap: (name) => watcher.get(kinds.ConfigMap, namespace, name, user, changed),
    claim: (name) => client.find(kinds.PersistentVolumeClaim, { namespace, name }),
    volume: (name) => client.find(kinds.PersistentVolume, { name }),
    async token({ audience, expirationSeconds }) {
      const account = pod.spec.serviceAccountName ?? 'default';
      const answer = await client.post<{ status: { token: string; expirationTimestamp: string } }>(
        kinds.ServiceAccount,
        { namespace, name: account },
        'token',
        {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenRequest',
          spec: {
            ...(audience ? { audiences: [audience] } : {}),
            expirationSeconds,
            boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: user },
          },
        },
      );
      return { token: answer.status.token, expires: Date.parse(answer.status.expirationTimestamp) };
    },
  };
}
