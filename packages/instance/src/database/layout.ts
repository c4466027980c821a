import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Where things lie in the database's container. */
export interface Layout {
  pgdata: string;
  /** Folder for the WAL on a volume of its own, when there is one. */
  walDir?: string;
  /** Our own notes about the volume's content; on the volume, outside PGDATA, so that no copy carries them along. */
  notes: string;
  /** Unix socket of PostgreSQL. */
  sockets: string;
  /** Kept over restarts of the container, gone with the pod. */
  run: string;
  tls: string;
}

const WAL_MOUNT = '/var/lib/postgresql/wal';

/**
 * The layout that the operator's pods have.
 *
 * @param mounts what is mounted in this container, as the kernel tells it
 */
export function podLayout(
  pgdata: string,
  run = '/run/pgherd',
  mounts = readFileSync('/proc/self/mountinfo', 'utf8'),
): Layout {
  return {
    pgdata,
    ...(isMountPoint(WAL_MOUNT, mounts) ? { walDir: join(WAL_MOUNT, 'pg_wal') } : {}),
    notes: join(dirname(pgdata), 'pgherd'),
    sockets: '/run/postgresql',
    run,
    tls: join(run, 'tls'),
  };
}

/** The folder alone says nothing: an image may have it for the volume to come. */
function isMountPoint(path: string, mounts: string): boolean {
  return mounts.split('\n').some((line) => line.split(' ')[4] === path);
}

/** Files of a TLS folder. */
export function tlsFiles(folder: string) {
  return {
    /** Verifies servers. */
    ca: join(folder, 'ca.crt'),
    /** Verifies clients. */
    clientCa: join(folder, 'client-ca.crt'),
    serverCert: join(folder, 'server.crt'),
    serverKey: join(folder, 'server.key'),
    clientCert: join(folder, 'replication.crt'),
    clientKey: join(folder, 'replication.key'),
  };
}
