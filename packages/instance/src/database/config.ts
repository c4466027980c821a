import { readFile } from 'node:fs/promises';
import type { EffectiveSpec } from '@pgherd/api';
import {
  configPath,
  crashSyncArgs,
  type Logger,
  type Postgres,
  type RoleSettings,
  renderSettings,
  type Session,
  type Settings,
  STANDBY_MINIMUMS,
  volumeUsage,
  writeDurable,
} from '@pgherd/postgres';
import { InstanceError } from '../errors.ts';
import { renderHba, renderIdent, renderLocalHba, systemUser } from './access.ts';
import { FETCH_COMMAND, type ParameterContext, parameters, type WalVolume } from './parameters.ts';
import { applyReload } from './running.ts';
import { tryOut, writtenSettings } from './settings-trial.ts';

/** What PostgreSQL is configured by: the spec, and the role of the moment. */
export class Config {
  readonly #pg: Postgres;
  readonly #context: ParameterContext;
  readonly #log: Logger;
  #eff: EffectiveSpec | undefined;
  /** The settings that PostgreSQL had nothing against last. */
  #passed: string | undefined;
  /** What the spec says of the settings that a standby must not be below its primary in, as last written. */
  #minimums: Record<string, number> = {};
  /** What the role file says, or will say at the next start. */
  role: RoleSettings = { standby: true, primaryConninfo: '', synchronousStandbyNames: '' };

  /** The synchronous_standby_names that every process of the server goes by; undefined: not known. */
  syncInForce: string | undefined;

  /** Leadership is about to change by plan: new WAL segments are to be there at once. Takes effect with the next role. */
  hurried = false;

  /** How a standby fetches WAL out of the archive, while there is one. Takes effect with the next role. */
  restoreCommand: string | undefined;

  constructor(pg: Postgres, context: ParameterContext, log: Logger) {
    this.#pg = pg;
    this.#context = context;
    this.#log = log;
  }

  /** Takes a spec, for whatever is written from now on; returns the one before. */
  take(eff: EffectiveSpec): EffectiveSpec | undefined {
    const before = this.#eff;
    this.#eff = eff;
    this.restoreCommand = eff.backup ? FETCH_COMMAND : undefined;
    return before;
  }

  /** Writes everything for a start in this role. Settings that PostgreSQL refuses leave those that are there. */
  async writeAll(role: RoleSettings): Promise<void> {
    this.role = role;
    await this.write().catch(async (error) => {
      if (!isRefusal(error) || (await writtenSettings(this.#pg.pgdata)) === undefined) throw error;
      this.#log.warn({ error: error.message }, 'starting with the last settings that PostgreSQL took');
      await this.#openDoors();
    });
    await this.#pg.writeRole({ ...role, sparseWal: this.hurried });
  }

  /** Arguments for a start. What the spec says of the same goes by the spec. */
  async startArgs(): Promise<string[]> {
    if (this.#eff?.postgresql.parameters.recovery_init_sync_method !== undefined) return [];
    const { pgdata, walDir } = this.#context.layout;
    return crashSyncArgs(this.#context.major, pgdata, walDir ? [walDir] : []);
  }

  /** Writes what belongs to the role, for the reload of a running server; see writeRoleSettings. */
  writeRole(o?: { sync?: boolean }): Promise<boolean> {
    return this.#pg.writeRoleSettings({ ...this.role, sparseWal: this.hurried }, o);
  }

  /**
   * Writes the part that does not depend on the role; returns whether anything changed. Where PostgreSQL would refuse
   * it (InstanceError `BadSettings`) nothing is written, and the spec before counts again.
   */
  async write(before?: EffectiveSpec): Promise<boolean> {
    const { eff, settings } = await this.judge(before);
    const user = systemUser();
    const { pgdata } = this.#context.layout;
    const changes = [
      await this.#pg.writeSettings(settings),
      await writeDurable(configPath(pgdata, 'hba'), renderHba(eff, user)),
      await writeDurable(configPath(pgdata, 'ident'), renderIdent(eff, user)),
    ];
    return changes.includes(true);
  }

  /** The settings that are to be written; throws as `write` does. */
  async judge(before?: EffectiveSpec): Promise<{ eff: EffectiveSpec; settings: Settings }> {
    const eff = this.#eff;
    if (!eff)
      throw new InstanceError('NoSettings', 'writing the settings: applySettings has not been called yet');
    const asked = parameters(eff, this.#context, await this.#walVolume());
    const settings = this.role.standby ? await this.#aboveMinimums(asked) : asked;
    const text = renderSettings(settings);
    try {
      if (text !== this.#passed) await tryOut(this.#pg, settings, this.#context.layout.run, this.#log);
    } catch (error) {
      if (before) this.#eff = before;
      throw error;
    }
    this.#passed = text;
    this.#minimums = Object.fromEntries(STANDBY_MINIMUMS.map((name) => [name, Number(asked[name])]));
    return { eff, settings };
  }

  /** Of the values that the server runs with, the names of those that are higher than the spec says. */
  raised(running: Readonly<Record<string, number>>): string[] {
    return STANDBY_MINIMUMS.filter(
      (name) => (running[name] ?? 0) > (this.#minimums[name] ?? Number.POSITIVE_INFINITY),
    );
  }

  async #walVolume(): Promise<WalVolume | undefined> {
    const { walDir, pgdata } = this.#context.layout;
    const usage = await volumeUsage(walDir ?? pgdata);
    return usage && { sizeBytes: usage.sizeBytes, ownVolume: walDir !== undefined };
  }

  /** A standby below its primary in one of these refuses to run: there a lower wish waits. */
  async #aboveMinimums(wanted: Settings): Promise<Settings> {
    const minimums = await this.#pg.controlData().then(
      (control) => control.standbyMinimums,
      () => ({}),
    );
    const raised = Object.entries(minimums).filter(
      ([name, minimum]) => wanted[name] !== undefined && Number(wanted[name]) < minimum,
    );
    return { ...wanted, ...Object.fromEntries(raised.map(([name, minimum]) => [name, String(minimum)])) };
  }

  /** After a recovery the doors are closed, and no refused setting may leave them so: who leads would serve nobody. */
  async #openDoors(): Promise<void> {
    const { pgdata } = this.#context.layout;
    const user = systemUser();
    const found = await readFile(configPath(pgdata, 'hba'), 'utf8').catch(() => undefined);
    if (!this.#eff || found !== renderLocalHba(user)) return;
    await writeDurable(configPath(pgdata, 'hba'), renderHba(this.#eff, user));
    await writeDurable(configPath(pgdata, 'ident'), renderIdent(this.#eff, user));
  }

  /** Until the next write, lets in nobody but ourselves. */
  async closeDoors(): Promise<void> {
    await writeDurable(configPath(this.#context.layout.pgdata, 'hba'), renderLocalHba(systemUser()));
  }

  /**
   * Reloads what was written; returns whether a restart is needed for some of it. Settings that PostgreSQL
   * refuses are taken back (InstanceError `BadSettings`): with them on disk it would not start again.
   */
  async reload(session: Session, before: EffectiveSpec | undefined): Promise<boolean> {
    try {
      return await applyReload(session, this.#pg, this.#log);
    } catch (error) {
      if (before && isRefusal(error)) {
        this.#eff = before;
        await this.write();
        this.#pg.reload();
      }
      throw error;
    }
  }
}

function isRefusal(error: unknown): error is InstanceError {
  return error instanceof InstanceError && error.code === 'BadSettings';
}
