/** Reads out of the server's log where replay ended and why: PostgreSQL keeps it nowhere else. */

/** What a replay said of itself. */
export interface Replay {
  /** Why it ended at its target, for example "recovery stopping before commit of transaction 726, time ...". */
  stopped?: string;
  /** It was to end at a target, and the WAL came to its end first. */
  endedBefore: boolean;
  /** The last file that was asked for and not found. */
  notFound?: string;
  /** Errors of pgBackRest while WAL was fetched. */
  fetchErrors: string[];
  /** Time of the last transaction that was replayed, as PostgreSQL writes it. */
  lastTransaction?: string;
  /** The timeline that it began. */
  timeline?: number;
  /** Errors that ended the server. */
  fatal: string[];
}

export class ReplayLog {
  readonly replay: Replay = { endedBefore: false, fetchErrors: [], fatal: [] };

  /** Takes the next message of the server, or of pgBackRest running under it. */
  take({ severity, message }: { severity: string; message: string }): void {
    const { replay } = this;
    if (/^recovery stopping (before|after|at) /.test(message)) replay.stopped = message;
    if (/recovery ended before configured recovery target was reached/.test(message))
      replay.endedBefore = true;
    const last = /^last completed transaction was at log time (.*)$/.exec(message);
    if (last) replay.lastTransaction = last[1]!;
    const timeline = /^selected new timeline ID: (\d+)/.exec(message);
    if (timeline) replay.timeline = Number(timeline[1]);
    const notFound = /unable to find ([0-9A-F]{24}) in the archive/.exec(message);
    if (notFound) replay.notFound = notFound[1]!;
    if (/\[\d{3}\]: /.test(message)) replay.fetchErrors.push(message.replace(/^.*?(\[\d{3}\]: )/, '$1'));
    if (replay.fetchErrors.length > 5) replay.fetchErrors.shift();
    // Later ones only say that others end because of the first.
    if (severity === 'FATAL' || severity === 'PANIC') replay.fatal.push(message);
  }
}
