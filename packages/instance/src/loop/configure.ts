/** What has to follow the spec but has no part in leadership: settings, and the roles and passwords of the primary. */
import type { EffectiveSpec } from '@pgherd/api';
import type { Client, Log } from '@pgherd/kube';
import { readLogin } from '../bootstrap/references.ts';
import type { ApplicationSecrets, Database } from '../database/types.ts';

export interface ConfigureOptions {
  database: Database;
  client: Client;
  namespace: string;
  log: Log;
  /** Told when settings or roles could not be applied, or can again. */
  problem(what: 'settings' | 'roles', message: string | undefined): void;
}

const RETRY_MS = 5_000;

export class Configurer {
  readonly #o: ConfigureOptions;
  #eff: EffectiveSpec | undefined;
  #applied = '';
  #applying: Promise<void> = Promise.resolve();
  #rolesDone = '';
  #rolesBusy = false;
  #rolesNotBefore = 0;
  #generation = 0;

  constructor(options: ConfigureOptions) {
    this.#o = options;
  }

  /** The spec as last given. */
  get eff(): EffectiveSpec | undefined {
    return this.#eff;
  }

  /** Applies a spec, one after the other; the same again does nothing. Never rejects. */
  apply(eff: EffectiveSpec): Promise<void> {
    this.#applying = this.#applying.then(async () => {
      const text = fingerprint(eff.postgresql, eff.resources);
      this.#eff = eff;
      if (text === this.#applied) return;
      try {
        await this.#o.database.applySettings(eff);
        this.#applied = text;
        this.#o.problem('settings', undefined);
      } catch (error) {
        // The same again would fail again: the next change of the spec is the next try.
        this.#applied = text;
        this.#o.problem('settings', (error as Error).message);
      }
    });
    return this.#applying;
  }

  /** A secret has changed: roles are looked at again. */
  secretsChanged(): void {
    this.#generation++;
  }

  /** To be called whenever this instance is a running primary under `epoch`; cheap when nothing is to be done. */
  async roles(epoch: number): Promise<void> {
    const eff = this.#eff;
    if (!eff || this.#rolesBusy || performance.now() < this.#rolesNotBefore) return;
    const { owner, secret } = eff.initdb;
    const key = fingerprint(
      epoch,
      this.#generation,
      owner,
      secret,
      eff.superuserSecret,
      eff.enableSuperuserAccess,
    );
    if (key === this.#rolesDone) return;
    this.#rolesBusy = true;
    try {
      await this.#o.database.ensureApplication(eff, await this.#secrets(eff));
      this.#rolesDone = key;
      this.#o.problem('roles', undefined);
    } catch (error) {
      this.#rolesNotBefore = performance.now() + RETRY_MS;
      this.#o.problem('roles', (error as Error).message);
    } finally {
      this.#rolesBusy = false;
    }
  }

  async #secrets(eff: EffectiveSpec): Promise<ApplicationSecrets> {
    const { client, namespace } = this.#o;
    const app = await readLogin(client, namespace, eff.initdb.secret);
    const superuser = eff.enableSuperuserAccess
      ? await readLogin(client, namespace, eff.superuserSecret)
      : undefined;
    return { ...(app ? { app } : {}), ...(superuser ? { superuser } : {}) };
  }
}

function fingerprint(...parts: unknown[]): string {
  return JSON.stringify(parts);
}
