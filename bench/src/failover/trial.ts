/** One fault on one system, from a well cluster to a well cluster. */
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '@pgherd/cli';
import type { Recording } from '@pgherd/cli/writer/recording';
import type { RunningWriter } from '@pgherd/cli/writer/start';
import type { Row } from './rows.ts';
import type { System } from './system.ts';
import type { Turns } from './turns.ts';

export interface Trial {
  /** Longest time without an acknowledgement since the fault, milliseconds. */
  outageMs: number;
  acknowledged: number;
  /** Acknowledged writes that are gone. */
  lost: number;
  /** The session that was bound to the old primary. */
  held?: {
    /** Acknowledged after the fault began (for a freeze: after the thaw). */
    acknowledgedAfter: number;
    /** From then to its last acknowledgement, milliseconds. */
    lastAckMs: number;
    lost: number;
  };
  /** Not all instances came back in time: what was seen. */
  unsettled?: string;
  /** pgbench's clients that got an error, and how many it had. */
  clients?: { failed: number; clients: number };
}

const WRITES_BEFORE = 200;
const WRITES_AFTER = 200;
const RESUME_MS = 120_000;
/** A session that is held is watched at least so long after the fault. */
const HELD_MS = 3_000;
/** Whoever goes next waits so long for this one to heal: what takes longer is waiting, not work. */
const HEAL_MS = 3_000;

/** Milliseconds since 1970, by the clock that writers use. */
const now = (): number => performance.timeOrigin + performance.now();

/**
 * Inflicts the row's fault. From the start of the writer until it has healed (for a while at least) it has the
 * machine for itself, if `turns` are given. Throws when writes do not go on, or cannot be counted.
 */
export async function tryFault(system: System, row: Row, turns?: Turns): Promise<Trial> {
  const inflict = system.faults[row.fault];
  if (!inflict) throw new Error(`${system.name} knows no ${row.fault}`);
  await system.settled();
  const giveBack = await turns?.take();
  const writers: RunningWriter[] = [];
  try {
    const primary = await system.primary();
    const held = row.held ? await system.holder(primary, row.held) : undefined;
    if (held) writers.push(held);
    const writer = await system.writer();
    writers.push(writer);
    const clients = row.load ? await system.clients() : undefined;
    await written(writer.recording, 0, WRITES_BEFORE);
    const since = now();
    const undo = await inflict(primary);
    await waitUntil(since + Math.max(row.lastsMs ?? 0, held ? HELD_MS : 0));
    // Of what lasts a given time the end belongs to the fault; all else lasts until the system has dealt with it.
    if (row.lastsMs === undefined) await written(writer.recording, since, WRITES_AFTER);
    const undone = now();
    await undo?.();
    await written(writer.recording, undone, WRITES_AFTER);
    const ended = await clients?.ended();
    const settling = system.settled().then(
      () => undefined,
      (error: Error) => error.message,
    );
    await Promise.race([settling, sleep(HEAL_MS)]);
    giveBack?.();
    const unsettled = await settling;
    const trial = await verdict(system, row, { writer, held, since, undone, clients: ended });
    return unsettled ? { ...trial, unsettled } : trial;
  } finally {
    giveBack?.();
    await Promise.allSettled(writers.map((writer) => writer.stop()));
  }
}

function waitUntil(time: number): Promise<true> {
  return waitFor(async () => now() >= time, { timeoutMs: RESUME_MS, describe: () => 'the fault lasts' });
}

interface Ending {
  writer: RunningWriter;
  held: RunningWriter | undefined;
  since: number;
  undone: number;
  clients: Trial['clients'];
}

async function verdict(system: System, row: Row, ending: Ending): Promise<Trial> {
  const { since, clients } = ending;
  const recording = await ending.writer.stop();
  const trial: Trial = {
    outageMs: recording.longestOutage(since).ms,
    acknowledged: recording.acknowledged,
    lost: recording.missing(await system.drain('writes')).length,
    ...(clients ? { clients } : {}),
  };
  if (ending.held) {
    const session = await ending.held.stop();
    const from = row.fault === 'node-frozen' ? ending.undone : since;
    const after = session.times.filter((time) => time > from);
    trial.held = {
      acknowledgedAfter: after.length,
      lastAckMs: Math.max(0, (after.at(-1) ?? from) - from),
      lost: session.missing(await system.drain('held')).length,
    };
  }
  return trial;
}

/** Waits for so many acknowledgements after a point in time. */
async function written(recording: Recording, since: number, count: number): Promise<void> {
  await waitFor(async () => recording.times.filter((time) => time > since).length >= count, {
    timeoutMs: RESUME_MS,
    everyMs: 50,
    describe: () => `writes do not go on: ${recording.lost.at(-1)?.error ?? 'no error'}`,
  });
}
