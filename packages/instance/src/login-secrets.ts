import type { EffectiveSpec } from '@pgherd/api';
import { type Client, createCache, kinds, type Log } from '@pgherd/kube';

/** Watches the secrets with the passwords that the spec names; calls back when one of them changes. */
export class LoginSecrets {
  readonly #o: { client: Client; namespace: string; log: Log; changed(): void };
  readonly #watched = new Map<string, AbortController>();

  constructor(options: { client: Client; namespace: string; log: Log; changed(): void }) {
    this.#o = options;
  }

  /** Watches what this spec names, and no longer what an earlier one did. */
  follow(eff: EffectiveSpec, signal: AbortSignal): void {
    const wanted = new Set([eff.initdb.secret, ...(eff.enableSuperuserAccess ? [eff.superuserSecret] : [])]);
    for (const [name, controller] of this.#watched) {
      if (wanted.has(name)) continue;
      controller.abort();
      this.#watched.delete(name);
    }
    for (const name of wanted) {
      if (this.#watched.has(name)) continue;
      const controller = new AbortController();
      this.#watched.set(name, controller);
      const { client, namespace, log } = this.#o;
      const cache = createCache(client, kinds.Secret, {
        namespace,
        fieldSelector: `metadata.name=${name}`,
        log,
      });
      cache.onChange((secret) => secret && this.#o.changed());
      cache.start(AbortSignal.any([signal, controller.signal]));
    }
  }
}
