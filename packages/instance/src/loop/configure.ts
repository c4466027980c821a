/** What has to follow the spec but has no part in leadership: settings, and the roles and passwords of the primary. */
import type { EffectiveSpec, InstanceReport } from '@pgherd/api';
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
  #reloaded: InstanceReport['reload'];
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

  /** The last reload that was asked for and carried out. */
  get reloaded(): InstanceReport['reload'] {
    return this.#reloaded;
  }

  /**
   * Applies a spec, one after the other; the same again does nothing, unless another reload was asked for. Never
   * rejects.
   */
  apply(eff: EffectiveSpec, reload?: string): Promise<void> {
    this.#applying = this.#applying.then(async () => {
      // Where backups go is pgBackRest's to know; whether there are any is in PostgreSQL's settings.
      const text = fingerprint(eff.postgresql, eff.resources, eff.backup !== undefined);
      this.#eff = eff;
      const again = reload !== undefined && reload !== this.#reloaded?.id;
      if (text === this.#applied && !again) return;
      if (again) this.#generation++;
      const why = await this.#settings(eff, again);
      // The same again would fail again: the next change of the spec is the next try.
      this.#applied = text;
      if (again) this.#reloaded = { id: reload, ...(why ? { why } : {}) };
    });
    return this.#applying;
  }

  /** Returns why PostgreSQL refuses the settings, if it does. */
  async #settings(eff: EffectiveSpec, reload: boolean): Promise<string | undefined> {
    let why: string | undefined;
    try {
      await this.#o.database.applySettings(eff, { reload });
    } catch (error) {
      why = (error as Error).message;
    }
    this.#o.problem('settings', why);
    return why;
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
