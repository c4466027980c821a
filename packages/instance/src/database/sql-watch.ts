/** Asks the running server how it is, over one session that is kept open, and notices when it has gone silent. */
import { type Postgres, PostgresError, type Session, serverAnswers } from '@pgherd/postgres';
import { observeSql, type SqlView } from './observe.ts';
import { OWN_NAMES } from './running.ts';

/** How long one look may take. */
const QUICK_MS = 800;
/** After a look without an answer: slow is not silent. */
const PATIENT_MS = 2500;
/** Between two looks at whether new connections are taken. */
const PROBE_EVERY_MS = 4000;

export interface SqlLook {
  /** What the server said; undefined when it did not, or refused. */
  sql?: SqlView;
  /** Nothing answered: neither our session nor, when that was tried, a new connection. */
  silent: boolean;
}

export class SqlWatch {
  readonly #pg: Postgres;
  #session: Session | undefined;
  #patient = false;
  #probed = Number.NEGATIVE_INFINITY;

  constructor(pg: Postgres) {
    this.#pg = pg;
  }

  async look(): Promise<SqlLook> {
    const limit = this.#patient ? PATIENT_MS : QUICK_MS;
    const [answer, taken] = await Promise.all([this.#ask(limit), this.#takesConnections(limit)]);
    this.#patient = answer.silent || !taken;
    return { ...answer, silent: this.#patient };
  }

  async #ask(limit: number): Promise<SqlLook> {
    try {
      if (!this.#session || this.#session.closed) {
        // Opened once and kept: with every connection taken, a new one would have to find a reserved slot.
        this.#session = await this.#pg.session({
          settings: OWN_NAMES,
          connectTimeoutMs: limit,
          queryTimeoutMs: limit,
        });
      }
      return { sql: await observeSql(this.#session, this.#pg.pgdata, limit), silent: false };
    } catch (error) {
      this.close();
      // Who refuses us (no connection is free) is there.
      return { silent: !(error instanceof PostgresError && error.sqlState !== undefined) };
    }
  }

  async #takesConnections(limit: number): Promise<boolean> {
    const now = performance.now();
    if (!this.#patient && now - this.#probed < PROBE_EVERY_MS) return true;
    this.#probed = now;
    return serverAnswers(this.#pg.options.socketDir, this.#pg.options.port, limit);
  }

  /** Ends our session, so that a stop does not have to. */
  close(): void {
    this.#session?.close();
    this.#session = undefined;
  }
}
