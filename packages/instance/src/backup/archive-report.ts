/** How WAL archiving goes on: what PostgreSQL counts, and what lies there and waits. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArchiveReport } from '@pgherd/api';
import { parseBackrestError } from '@pgherd/postgres';
import type { ReadQuery } from '../database/types.ts';

export interface ArchiverRow extends Record<string, unknown> {
  archived: string | null;
  archived_at: string | null;
  failed: string | null;
  failed_at: string | null;
  segment_bytes: string;
  command: string;
}

const QUERY = `select last_archived_wal as archived, last_failed_wal as failed,
    to_char(last_archived_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as archived_at,
    to_char(last_failed_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as failed_at,
    pg_size_bytes(current_setting('wal_segment_size'))::text as segment_bytes,
    current_setting('archive_command') as command
  from pg_stat_archiver`;

/** Asks PostgreSQL. */
export async function archiverRow(query: ReadQuery): Promise<ArchiverRow> {
  const [row] = await query<ArchiverRow>(QUERY);
  return row!;
}

/**
 * Which WAL files wait for being archived, in the order in which PostgreSQL hands them over, and the last of those that
 * lie here and need not wait any more.
 */
export async function archiveFolder(pgdata: string): Promise<{ waiting: string[]; done?: string }> {
  const names = await readdir(join(pgdata, 'pg_wal', 'archive_status')).catch(() => []);
  const done = names
    .map((name) => name.replace(/\.done$/, ''))
    .reduce<string | undefined>((last, name) => laterSegment(last, name), undefined);
  const ready = names
    .filter((name) => name.endsWith('.ready'))
    .map((name) => name.slice(0, -'.ready'.length));
  const rank = (name: string) => `${name.endsWith('.history') ? 0 : 1}${name}`;
  const waiting = ready.sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
  return { waiting, ...(done ? { done } : {}) };
}

/** `said`: the lines that pgBackRest said when it was last handed a file. */
export function archiveReport(
  row: ArchiverRow,
  waiting: number,
  said: readonly string[],
): Omit<ArchiveReport, 'problems' | 'repositories'> {
  const failing =
    row.failed !== null && row.failed_at !== null && (row.archived_at ?? '') <= row.failed_at && waiting > 0;
  const error = parseBackrestError(said)?.text ?? said.find((line) => line.trim() !== '');
  return {
    active: true,
    ...(row.archived_at ? { lastArchivedAt: row.archived_at } : {}),
    ...(failing
      ? {
          lastFailed: row.failed!,
          lastFailedAt: row.failed_at!,
          error: error ?? 'pgBackRest said nothing',
        }
      : {}),
    waiting,
    waitingBytes: waiting * Number(row.segment_bytes),
  };
}

const SEGMENT = /^[0-9A-F]{24}$/;

/** The later of two WAL files: histories, labels of backups and parts of files say nothing about what is archived. */
export function laterSegment(known: string | undefined, file: string | undefined): string | undefined {
  if (!file || !SEGMENT.test(file)) return known;
  return known === undefined || file > known ? file : known;
}
