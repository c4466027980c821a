/** What every data directory has: PostgreSQL may start without some of it and fail much later, as a primary. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const FILES = ['PG_VERSION', 'global/pg_control'];
const FOLDERS = [
  'base',
  'global',
  'pg_wal',
  'pg_xact',
  'pg_multixact/offsets',
  'pg_multixact/members',
  'pg_tblspc',
];
/** Folders that are never without a file. */
const NEVER_EMPTY = ['pg_xact'];

/** The parts that are missing, as paths within the data directory; empty for one that is whole. */
export function missingParts(pgdata: string): string[] {
  const missing = (part: string, isThere: (path: string) => boolean): boolean => {
    try {
      return !isThere(join(pgdata, part));
    } catch {
      return true;
    }
  };
  const found = [
    ...FILES.filter((part) => missing(part, (path) => statSync(path).size > 0)),
    ...FOLDERS.filter((part) => missing(part, (path) => statSync(path).isDirectory())),
    ...NEVER_EMPTY.filter((part) => missing(part, (path) => readdirSync(path).length > 0)),
  ];
  return [...new Set(found)];
}
