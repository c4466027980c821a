import type { EffectiveSpec } from '@pgherd/api';
import {
  configPath,
  type Logger,
  type Postgres,
  type RoleSettings,
  type Session,
  writeDurable,
} from '@pgherd/postgres';
import { InstanceError } from '../errors.ts';
import { renderHba, renderIdent, renderLocalHba, systemUser } from './access.ts';
import { type ParameterContext, parameters } from './parameters.ts';
import { applyReload } from './running.ts';

/** What PostgreSQL is configured by: the spec, and the role of the moment. */
export class Config {
  readonly #pg: Postgres;
  readonly #context: ParameterContext;
  readonly #log: Logger;
  #eff: EffectiveSpec | undefined;
  /** What the role file says, or will say at the next start. */
  role: RoleSettings = { standby: true, primaryConninfo: '', synchronousStandbyNames: '' };

  constructor(pg: Postgres, context: ParameterContext, log: Logger) {
    this.#pg = pg;
    this.#context = context;
    this.#log = log;
  }

  /** Takes a spec, for whatever is written from now on; returns the one before. */
  take(eff: EffectiveSpec): EffectiveSpec | undefined {
    const before = this.#eff;
    this.#eff = eff;
    return before;
  }

  /** Writes everything for a start in this role. */
  async writeAll(role: RoleSettings): Promise<void> {
    this.role = role;
    await this.write();
    await this.#pg.writeRole(role);
  }

  /** Writes the part that does not depend on the role; returns whether anything changed. */
  async write(): Promise<boolean> {
    const eff = this.#eff;
    if (!eff)
      throw new InstanceError('NoSettings', 'writing the settings: applySettings has not been called yet');
    const user = systemUser();
    const { pgdata } = this.#context.layout;
    const changes = [
      await this.#pg.writeSettings(parameters(eff, this.#context)),
      await writeDurable(configPath(pgdata, 'hba'), renderHba(eff, user)),
      await writeDurable(configPath(pgdata, 'ident'), renderIdent(eff, user)),
    ];
    return changes.includes(true);
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
      if (before && error instanceof InstanceError && error.code === 'BadSettings') {
        this.#eff = before;
        await this.write();
        this.#pg.reload();
      }
      throw error;
    }
  }
}
