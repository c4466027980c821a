/** Before a cluster with backups is deleted: its last WAL goes to the archive. */
import type { Pod } from '@pgherd/kube';
import { choosePod, psqlCommand } from './commands/psql.ts';
import type { Connection } from './connection.ts';
import { CliError } from './errors.ts';
import { startProgress } from './output.ts';
import { captureInPod } from './pod-exec.ts';
import { waitFor } from './wait.ts';

const ARCHIVE_MS = 60_000;

/**
 * Has the primary close its WAL file and waits until that is archived, so that backups bring back all that was
 * committed.
 *
 * @throws CliError failed when it is not archived in time, notFound when no primary runs
 */
export async function archiveLastWal(connection: Connection, name: string): Promise<void> {
  const pod = await choosePod(connection, name);
  const progress = startProgress(`Archiving the last WAL of cluster ${name}`);
  // Something must be in the file, or the switch does nothing. Standbys are not waited for.
  await ask(connection, pod, 'SET synchronous_commit = local; SELECT txid_current()');
  const file = await ask(connection, pod, 'SELECT pg_walfile_name(pg_switch_wal())');
  try {
    await waitFor(
      async () => {
        const query = `SELECT count(*) FROM pg_stat_archiver WHERE left(last_archived_wal, 24) COLLATE "C" >= '${file}'`;
        return (await ask(connection, pod, query)) === '1';
      },
      { timeoutMs: ARCHIVE_MS, describe: () => `WAL file ${file} is not in the archive` },
    );
    progress.done(`All WAL up to ${file} is in the archive.`);
  } catch (error) {
    progress.fail(`WAL file ${file} is not in the archive`);
    throw new CliError('failed', `The last WAL file of cluster ${name}, ${file}, cannot be archived.`, {
      hint: `See \`pgherd show backup ${name}\`. Nothing was deleted. To delete without it: --without-last-wal.`,
      cause: error,
    });
  }
}

async function ask({ client }: Connection, pod: Pod, query: string): Promise<string> {
  const { code, stdout, stderr } = await captureInPod(client, pod, psqlCommand(['-XAtqc', query]));
  if (code !== 0)
    throw new CliError('failed', `Asking ${pod.metadata.name} about its WAL: ${stderr.trim() || code}`, {
      hint: 'Nothing was deleted. To delete without the last WAL: --without-last-wal.',
    });
  return stdout.trim();
}
