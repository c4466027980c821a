/** New content for the volume: by initdb, by a copy, by a rewind. */
import { setTimeout as sleep } from 'node:timers/promises';
import { dataClaimName } from '@pgherd/api';
import { isCleanShutdown, type LogRecord, maxLsn, type Postgres, volumeUsage } from '@pgherd/postgres';
import { runFirstSql } from '../bootstrap/first-sql.ts';
import { InstanceError } from '../errors.ts';
import type { Config } from './config.ts';
import type { Layout } from './layout.ts';
import type { InitialiseSpec, Upstream } from './types.ts';
import { type UpstreamContext, upstreamConninfo, upstreamSession } from './upstream.ts';
import { emptyData, readNote, writeNote } from './volume.ts';
import type { Watcher } from './watcher.ts';

export interface Workplace {
  pg: Postgres;
  layout: Layout;
  config: Config;
  watcher: Watcher;
  instance: string;
  upstreams: UpstreamContext;
  /** Tells of every message of the server, until the function that comes back is called. */
  listen(take: (record: LogRecord) => void): () => void;
}

const PRIVATE_STOP = { fastMs: 60_000, immediateMs: 5000 };
const SOURCE_MS = 30_000;
const SOURCE_LOOK_MS = 50;
/** Replaying a single WAL file may take long on a slow disk, yet not this long. */
const STILL_MS = 120_000;

/** initdb and the first SQL; leaves the data unclaimed and synced. The directory must be worth nothing. */
export async function initialise(
  w: Workplace,
  spec: InitialiseSpec,
  signal: AbortSignal,
): Promise<{ systemID: string }> {
  await writeNote(w.layout, 'initialising');
  await emptyData(w.layout);
  await w.pg.initdb(spec, signal);
  await w.config.writeAll({ standby: false, primaryConninfo: '', synchronousStandbyNames: '' });
  await w.config.closeDoors();
  // Nothing need survive a crash: an interrupted attempt is thrown away.
  const args = [
    'listen_addresses=',
    'fsync=off',
    'full_page_writes=off',
    'ssl=off',
    'autovacuum=off',
    // Nobody leads yet who could archive, and its end would wait for that.
    'archive_mode=off',
  ];
  await inPrivate(w, async () => {
    await w.pg.start({ args: args.flatMap((arg) => ['-c', arg]), signal });
    await runFirstSql(spec, (database) => w.pg.session({ database }));
  });
  if (signal.aborted) throw new InstanceError('Cancelled', 'initialising the data directory: cancelled');
  await w.pg.sync();
  await writeNote(w.layout, 'unclaimed');
  return { systemID: (await w.pg.controlData()).systemID };
}

/** Marks fresh data as the cluster's own. */
export async function claim(layout: Layout): Promise<void> {
  const note = await readNote(layout);
  if (note?.phase === 'claimed') return;
  if (note?.phase !== 'unclaimed') {
    throw new InstanceError(
      'NotUnclaimed',
      `claiming ${layout.pgdata}: it is ${note?.phase ?? 'unknown'}, not fresh`,
    );
  }
  await writeNote(layout, 'claimed', note.incarnation);
}

/** Copies another instance; the directory must be worth nothing. */
export async function copy(w: Workplace, source: Upstream, signal: AbortSignal): Promise<void> {
  await writeNote(w.layout, 'copying');
  w.watcher.copying(true);
  try {
    await emptyData(w.layout);
    await requireSpace(w, source);
    const from = upstreamConninfo(source, w.upstreams, {
      applicationName: `${w.instance}.copy`,
      copies: true,
    });
    await w.pg.baseBackup({ source: from, sourceName: source.name }, signal);
    await writeNote(w.layout, 'copied');
  } catch (error) {
    // What there is of it is worth nothing, and may be what fills the volume.
    await emptyData(w.layout).catch(() => undefined);
    throw error;
  } finally {
    w.watcher.copying(false);
  }
}

/** Data are given up only for a copy that can be made: the source lets us in, and has what a copy begins with. */
export async function requireSource(w: Workplace, source: Upstream): Promise<void> {
  // The session is a WAL sender's: the role may replicate, too.
  const session = await upstreamSession(source, w.upstreams);
  try {
    const [system] = await session.query<{ timeline: string | number }>('IDENTIFY_SYSTEM');
    const timeline = Number(system!.timeline);
    if (timeline > 1) await session.query(`TIMELINE_HISTORY ${timeline}`);
  } finally {
    session.close();
  }
}

/** A copy that cannot fit would only burden its source, again and again. */
async function requireSpace(w: Workplace, source: Upstream): Promise<void> {
  const usage = await volumeUsage(w.layout.pgdata);
  if (!usage) return;
  const session = await upstreamSession(source, w.upstreams);
  try {
    const [row] = await session.query<{ bytes: string }>(
      `select sum(pg_database_size(oid)) as bytes from pg_database where has_database_privilege(oid, 'connect')`,
    );
    const wanted = Number(row?.bytes ?? 0);
    const left = usage.sizeBytes - usage.usedBytes;
    if (wanted < left) return;
    throw new InstanceError(
      'VolumeTooSmall',
      `copying ${source.name}: its databases have ${megabytes(wanted)}, and ${megabytes(left)} are left on the volume ${dataClaimName(w.instance)}`,
      { hint: 'make the volume larger; the copy is tried again by itself' },
    );
  } finally {
    session.close();
  }
}

const megabytes = (bytes: number): string => `${Math.ceil(bytes / (1 << 20))} MB`;

/** Rewinds to the history of a running primary. The content stays what it is: the incarnation is kept. */
export async function rewind(
  w: Workplace,
  source: Upstream,
  signal: AbortSignal,
): Promise<{ rewound: boolean; discarded?: { from: string; to: string } }> {
  const note = await readNote(w.layout);
  await sourceReady(w, source, signal);
  await endRecovery(w, signal);
  await writeNote(w.layout, 'rewinding', note?.incarnation);
  const from = upstreamConninfo(source, w.upstreams, {
    applicationName: `${w.instance}.copy`,
    database: 'postgres',
    copies: true,
  });
  const { rewound, discarded } = await w.pg.rewind({ source: from, sourceName: source.name }, signal);
  await writeNote(w.layout, 'claimed', note?.incarnation);
  // Killed soon after a promotion, its control file does not know of the new timeline: nothing was done then.
  if (rewound) await w.watcher.mark.forget();
  if (!discarded) return { rewound };
  return { rewound, discarded: { from: discarded.from, to: maxLsn(discarded.to, w.watcher.lastPosition)! } };
}

/** pg_rewind reads the source's timeline from its control file, which learns of a promotion by a checkpoint. */
async function sourceReady(w: Workplace, source: Upstream, signal: AbortSignal): Promise<void> {
  const session = await upstreamSession(source, w.upstreams);
  const end = performance.now() + SOURCE_MS;
  try {
    for (;;) {
      const [row] = await session.query<{ ready: boolean }>(
        `select not pg_is_in_recovery() and timeline_id =
           ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int as ready
         from pg_control_checkpoint()`,
      );
      if (row?.ready) return;
      if (signal.aborted || performance.now() > end) {
        throw new InstanceError(
          'SourceNotReady',
          `rewinding to ${source.name}: it has not checkpointed since its promotion`,
        );
      }
      await sleep(SOURCE_LOOK_MS);
    }
  } finally {
    session.close();
  }
}

/**
 * A standby that crashed must be brought to a stop in order first: pg_rewind can do that only for a primary. One that
 * lacks WAL to become consistent (it was rewound to somebody who is gone) never gets there: it can only be copied.
 */
async function endRecovery(w: Workplace, signal: AbortSignal): Promise<void> {
  const { state } = await w.pg.controlData();
  if (isCleanShutdown(state)) return;
  const standby = state === 'in archive recovery';
  await w.config.writeAll({ standby, primaryConninfo: '', synchronousStandbyNames: '' });
  if (standby)
    await inPrivate(w, () =>
      w.pg.start({
        args: ['-c', 'listen_addresses=', '-c', 'archive_mode=off'],
        stillMs: STILL_MS,
        signal,
      }),
    );
}

/** Runs with a server of our own, which is stopped in the end, or killed when something fails. */
export async function inPrivate(w: Workplace, run: () => Promise<unknown>): Promise<void> {
  w.watcher.hide(true);
  try {
    await run();
    await w.pg.stop(PRIVATE_STOP);
  } catch (error) {
    await w.pg.die();
    throw error;
  } finally {
    w.watcher.hide(false);
  }
}
