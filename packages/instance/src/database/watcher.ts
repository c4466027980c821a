import { statSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ControlData,
  closeFolder,
  type LogRecord,
  maxLsn,
  missingParts,
  type Postgres,
  replayedFile,
} from '@pgherd/postgres';
import type { Layout } from './layout.ts';
import { recoveredOf } from './recovered.ts';
import { type SqlLook, SqlWatch } from './sql-watch.ts';
import { StandbyMark } from './standby-mark.ts';
import type { DatabaseView } from './types.ts';
import { isEmpty, readNote, type VolumePhase, writeNote } from './volume.ts';
import { Volumes } from './volumes.ts';
import { WalLoss } from './wal-loss.ts';

/** What was begun and never completed is worth nothing. */
const UNFINISHED: VolumePhase[] = ['initialising', 'recovering', 'copying'];
/** What a standby logs when the upstream no longer has the WAL that comes next. */
const WAL_GONE =
  /requested WAL segment \S+ has already been removed|slot has been invalidated|can no longer (access|get changes from) replication slot/;
/** What it logs when it gets nothing from its upstream. */
const NO_STREAM =
  /^(could not (connect to the primary server|start WAL streaming|receive data from WAL stream)|terminating walreceiver due to timeout|highest timeline)/;

type DataFacts = Pick<
  DatabaseView,
  | 'data'
  | 'damage'
  | 'incarnation'
  | 'systemID'
  | 'timeline'
  | 'controlState'
  | 'checkpointLsn'
  | 'recovered'
  | 'promotedByHand'
>;

/** Looks at the database: at the volume while it is stopped, by SQL while it runs. */
export class Watcher {
  readonly #pg: Postgres;
  readonly #layout: Layout;
  readonly #sql: SqlWatch;
  readonly #volumes: Volumes;
  readonly mark: StandbyMark;
  readonly walLoss: WalLoss;
  /** Files of the WAL that have vanished under a running primary. */
  walLost: string[] = [];
  #view: DatabaseView;
  #running: Promise<DatabaseView> | undefined;
  #facts: DataFacts | undefined;
  /** The control file that the facts were read from. */
  #readFrom: string | undefined;
  #upstream: string | undefined;
  #archive = false;
  #copying = false;
  #pendingRestart = false;
  #hidden = false;
  #lastPosition: string | undefined;
  readonly #raised: (minimums: Readonly<Record<string, number>>) => string[];
  #missingWal: string | undefined;
  #receiverError: string | undefined;

  /** `raised`: which of the values that the server runs with are higher than the spec says. */
  constructor(
    pg: Postgres,
    layout: Layout,
    instance: string,
    raised: (minimums: Readonly<Record<string, number>>) => string[],
  ) {
    this.#raised = raised;
    this.#pg = pg;
    this.#layout = layout;
    this.#sql = new SqlWatch(pg);
    this.#volumes = new Volumes(layout, instance);
    this.mark = new StandbyMark(layout);
    this.walLoss = new WalLoss(layout.pgdata);
    this.#view = {
      data: 'empty',
      process: 'stopped',
      sqlReachable: false,
      streaming: false,
      receiverRunning: false,
      replication: [],
      pendingRestart: false,
      volumes: [],
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

  /** A message of the server: of some, nothing else tells. */
  heard({ message }: LogRecord): void {
    if (WAL_GONE.test(message)) this.#missingWal = message;
    if (NO_STREAM.test(message)) this.#receiverError = message.split('\n')[0];
  }

  /** The server is started anew, with all settings in force. */
  starts(upstream: string | undefined, archive = false): void {
    this.follows(upstream, archive);
    this.walLoss.forget();
    this.#pendingRestart = false;
  }

  /** `archive`: it can fetch WAL from there, too. */
  follows(upstream: string | undefined, archive = false): void {
    this.#streams();
    this.#upstream = upstream;
    this.#archive = archive;
  }

  /** What was said against its streaming is over. */
  #streams(): void {
    this.#missingWal = undefined;
    this.#receiverError = undefined;
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
    this.#sql.close();
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

  /** What lies in the data directory at this moment. */
  data(): Promise<DataFacts> {
    return this.#data(this.#pg.state !== 'stopped');
  }

  async #look(): Promise<DatabaseView> {
    // The beginning counts: what is acknowledged while we look may not be in what we see.
    const observedAt = performance.now();
    const process = this.#hidden ? 'stopped' : this.#pg.state;
    const [facts, volumes, { sql, silent }] = await Promise.all([
      this.#data(process !== 'stopped'),
      this.#volumes.look(),
      process === 'running' ? this.#askServer() : { sql: undefined, silent: false },
    ]);
    if (process !== 'running') this.#sql.close();
    this.walLost = sql?.wal ? await this.walLoss.look(sql.wal) : [];
    const recovering = process === 'starting' ? replayedFile(this.#layout.pgdata) : undefined;
    if (sql?.streaming) this.#streams();
    // Where it could not be written, the next look tries again.
    const { incarnation, systemID } = facts;
    if (sql?.inRecovery && incarnation && systemID)
      this.mark.seen({ incarnation, systemID }).catch(() => undefined);
    this.#view = {
      ...facts,
      process: this.#hidden ? 'stopped' : this.#pg.state,
      ...(recovering ? { recovering } : {}),
      sqlReachable: sql !== undefined,
      streaming: false,
      receiverRunning: false,
      replication: [],
      ...(this.#upstream === undefined ? {} : { upstream: this.#upstream }),
      pendingRestart: this.#pendingRestart,
      version: this.#pg.version,
      volumes,
      ...(silent ? { silent } : {}),
      ...(this.#archive ? { archive: true } : {}),
      ...(this.#missingWal === undefined ? {} : { missingWal: this.#missingWal }),
      ...(this.#receiverError === undefined ? {} : { receiverError: this.#receiverError }),
      observedAt,
      ...sql,
      ...(sql?.minimums ? { raised: this.#raised(sql.minimums) } : {}),
    };
    return this.#view;
  }

  async #askServer(): Promise<SqlLook> {
    const look = await this.#sql.look();
    for (const lsn of [look.sql?.currentLsn, look.sql?.receivedLsn, look.sql?.replayedLsn])
      this.#lastPosition = maxLsn(this.#lastPosition, lsn);
    return look;
  }

  async #data(alive: boolean): Promise<DataFacts> {
    if (this.#copying) return { data: 'copying' };
    // Looked at each time: whether the directory was emptied, or another put in its place.
    const file = this.#controlFile(alive);
    if (this.#facts && this.#readFrom === file) return this.#facts;
    const facts = await this.#readFacts(alive);
    this.#facts = facts;
    // Exchanged while it was read: the next look reads it again.
    this.#readFrom = this.#controlFile(alive) === file ? file : 'changed';
    return facts;
  }

  /** Which control file there is, and of a server that is stopped, in which state; undefined: none. */
  #controlFile(alive: boolean): string | undefined {
    const path = join(this.#layout.pgdata, 'global', 'pg_control');
    try {
      const { dev, ino, size, mtimeMs } = statSync(path);
      // A server that runs writes it again and again.
      return [dev, ino, ...(alive ? [] : [size, mtimeMs])].join(':');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return code === 'ENOENT' || code === 'ENOTDIR' ? undefined : code;
    }
  }

  async #readFacts(alive: boolean): Promise<DataFacts> {
    const { pgdata } = this.#layout;
    const note = await readNote(this.#layout);
    if (note && UNFINISHED.includes(note.phase)) return { data: 'empty' };
    await closeFolder(pgdata);
    const file = this.#controlFile(alive);
    if (file === undefined) {
      if (!alive && (await isEmpty(pgdata))) return { data: 'empty' };
      return { data: 'damaged', damage: `${pgdata} has no control file` };
    }
    if (/^E/.test(file)) return { data: 'damaged', damage: `${pgdata} cannot be read (${file})` };
    if (note?.phase === 'rewinding') return { data: 'damaged', damage: 'a rewind was interrupted' };
    // PostgreSQL may start as a standby without some of it, and fail once it is the primary.
    const missing = missingParts(pgdata);
    if (missing.length > 0) return { data: 'damaged', damage: `${pgdata} lacks ${missing.join(', ')}` };
    let control: ControlData;
    try {
      control = await this.#pg.controlData();
    } catch (error) {
      return { data: 'damaged', damage: (error as Error).message };
    }
    // Data without a note (a volume from elsewhere) count as nobody's copy: with an incarnation never seen.
    const { incarnation } = note ?? (await writeNote(this.#layout, 'claimed'));
    const content = { incarnation, systemID: control.systemID };
    const byHand = await (alive ? this.mark.byHand(content) : this.mark.judge(content, control.state));
    return {
      data: note?.phase === 'unclaimed' ? 'unclaimed' : 'present',
      incarnation,
      systemID: control.systemID,
      timeline: control.timeline,
      ...(await recoveredOf(this.#layout, incarnation)),
      ...(byHand ? { promotedByHand: true } : {}),
      ...(alive
        ? {}
        : {
            controlState: control.state,
            checkpointLsn: control.checkpointLsn,
          }),
    };
  }
}
