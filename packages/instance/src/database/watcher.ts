import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type ControlData, isCleanShutdown, maxLsn, type Postgres, type Session } from '@pgherd/postgres';
import type { Layout } from './layout.ts';
import { observeSql, type SqlView } from './observe.ts';
import { recoveredOf } from './recovered.ts';
import type { DatabaseView } from './types.ts';
import { isEmpty, readNote, type VolumePhase, writeNote } from './volume.ts';

const SQL_MS = 800;
/** What was begun and never completed is worth nothing. */
const UNFINISHED: VolumePhase[] = ['initialising', 'recovering', 'copying'];

type DataFacts = Pick<
  DatabaseView,
  | 'data'
  | 'damage'
  | 'incarnation'
  | 'systemID'
  | 'timeline'
  | 'controlState'
  | 'checkpointLsn'
  | 'cleanShutdown'
  | 'recovered'
>;

/** Looks at the database: at the volume while it is stopped, by SQL while it runs. */
export class Watcher {
  readonly #pg: Postgres;
  readonly #layout: Layout;
  #view: DatabaseView;
  #running: Promise<DatabaseView> | undefined;
  #session: Session | undefined;
  #facts: DataFacts | undefined;
  #upstream: string | undefined;
  #copying = false;
  #pendingRestart = false;
  #hidden = false;
  #lastPosition: string | undefined;

  constructor(pg: Postgres, layout: Layout) {
    this.#pg = pg;
    this.#layout = layout;
    this.#view = {
      data: 'empty',
      process: 'stopped',
      sqlReachable: false,
      streaming: false,
      receiverRunning: false,
      replication: [],
      pendingRestart: false,
      observedAt: 0,
    };
  }

  view(): DatabaseView {
    return this.#view;
  }

  /** The volume's content or the process has changed: the next look reads the control data again. */
  changed(): void {
    this.#facts = undefined;
  }

  /** The server is started anew, with all settings in force. */
  starts(upstream: string | undefined): void {
    this.#pendingRestart = false;
    this.#upstream = upstream;
  }

  follows(upstream: string | undefined): void {
    this.#upstream = upstream;
  }

  copying(now: boolean): void {
    this.#copying = now;
    this.changed();
    if (!now) return;
    this.#lastPosition = undefined;
    this.#view = { ...this.#view, data: 'copying' };
  }

  /** The last position seen of this content; undefined when it has not run under this manager. */
  get lastPosition(): string | undefined {
    return this.#lastPosition;
  }

  get hidden(): boolean {
    return this.#hidden;
  }

  /** A server that runs for our own purposes, without network, is nobody's database. */
  hide(now: boolean): void {
    this.#hidden = now;
    this.changed();
  }

  /** Ends our session, so that a stop does not have to. */
  rest(): void {
    this.#closeSession();
  }

  pendingRestart(now: boolean): void {
    this.#pendingRestart = now;
    this.#view = { ...this.#view, pendingRestart: now };
  }

  /** Calls that come while a look is under way get its result, unless the state has changed since it began. */
  async observe(): Promise<DatabaseView> {
    const running = this.#running;
    if (running) {
      await running;
      if (this.#facts !== undefined) return this.#view;
    }
    this.#running ??= this.#look().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #look(): Promise<DatabaseView> {
    // The beginning counts: what is acknowledged while we look may not be in what we see.
    const observedAt = performance.now();
    const process = this.#hidden ? 'stopped' : this.#pg.state;
    const facts = await this.#data(process !== 'stopped');
    const sql = process === 'running' ? await this.#sql() : undefined;
    if (process !== 'running') this.#closeSession();
    this.#view = {
      ...facts,
      process: this.#hidden ? 'stopped' : this.#pg.state,
      sqlReachable: sql !== undefined,
      streaming: false,
      receiverRunning: false,
      replication: [],
      ...(this.#upstream === undefined ? {} : { upstream: this.#upstream }),
      pendingRestart: this.#pendingRestart,
      version: this.#pg.version,
      observedAt,
      ...sql,
    };
    return this.#view;
  }

  async #sql(): Promise<SqlView | undefined> {
    try {
      if (!this.#session || this.#session.closed) {
        this.#session = await this.#pg.session({ connectTimeoutMs: SQL_MS, queryTimeoutMs: SQL_MS });
      }
      const sql = await observeSql(this.#session, this.#layout.pgdata, SQL_MS);
      for (const lsn of [sql.currentLsn, sql.receivedLsn, sql.replayedLsn])
        this.#lastPosition = maxLsn(this.#lastPosition, lsn);
      return sql;
    } catch {
      this.#closeSession();
      return undefined;
    }
  }

  #closeSession(): void {
    this.#session?.close();
    this.#session = undefined;
  }

  async #data(alive: boolean): Promise<DataFacts> {
    if (this.#copying) return { data: 'copying' };
    const known = this.#facts;
    // The one thing looked at each time: a directory emptied under a running server.
    if (known && this.#hasControlFile() === (known.data === 'present' || known.data === 'unclaimed'))
      return known;
    const facts = await this.#readFacts(alive);
    this.#facts = facts;
    return facts;
  }

  #hasControlFile(): boolean {
    return existsSync(join(this.#layout.pgdata, 'global', 'pg_control'));
  }

  async #readFacts(alive: boolean): Promise<DataFacts> {
    const note = await readNote(this.#layout);
    if (note && UNFINISHED.includes(note.phase)) return { data: 'empty' };
    if (!this.#hasControlFile()) {
      if (!alive && (await isEmpty(this.#layout.pgdata))) return { data: 'empty' };
      return { data: 'damaged', damage: `${this.#layout.pgdata} has no control file` };
    }
    if (note?.phase === 'rewinding') return { data: 'damaged', damage: 'a rewind was interrupted' };
    let control: ControlData;
    try {
      control = await this.#pg.controlData();
    } catch (error) {
      return { data: 'damaged', damage: (error as Error).message };
    }
    // Data without a note (a volume from elsewhere) count as nobody's copy: with an incarnation never seen.
    const { incarnation } = note ?? (await writeNote(this.#layout, 'claimed'));
    return {
      data: note?.phase === 'unclaimed' ? 'unclaimed' : 'present',
      incarnation,
      systemID: control.systemID,
      timeline: control.timeline,
      ...(await recoveredOf(this.#layout, incarnation)),
      ...(alive
        ? {}
        : {
            controlState: control.state,
            checkpointLsn: control.checkpointLsn,
            cleanShutdown: isCleanShutdown(control.state),
          }),
    };
  }
}
