/** Asking for a backup, and following it to its end. */
import { randomBytes } from 'node:crypto';
import { API_VERSION, BACKUP_KIND, type BackupSpec, isBackupOver, LABEL_CLUSTER } from '@pgherd/api';
import type { Client } from '@pgherd/kube';
import { BackupKind, type BackupObject } from '../kinds.ts';
import { howFar } from '../progress-text.ts';
import { waitFor } from '../wait.ts';

/** Asks for a backup. */
export function createBackup(client: Client, namespace: string, spec: BackupSpec): Promise<BackupObject> {
  const cluster = spec.cluster.name;
  const backup = {
    apiVersion: API_VERSION,
    kind: BACKUP_KIND,
    metadata: {
      name: `${cluster}-${randomBytes(4).toString('hex')}`,
      namespace,
      labels: { [LABEL_CLUSTER]: cluster },
    },
    spec,
  } as BackupObject;
  return client.create(BackupKind, backup, { fieldValidation: 'Strict' });
}

/** Follows a backup until it is over. Throws CliError `timeout` when it has not ended in time; it goes on by itself. */
export function followBackup(
  client: Client,
  { metadata }: BackupObject,
  o: { timeoutMs: number; onProgress: (text: string) => void },
): Promise<BackupObject> {
  const { name, namespace } = metadata;
  let text = 'it has not begun';
  return waitFor(
    async () => {
      const backup = await client.get(BackupKind, { namespace, name });
      text = progressText(backup);
      o.onProgress(text);
      return isBackupOver(backup) && backup;
    },
    {
      timeoutMs: o.timeoutMs,
      everyMs: 500,
      describe: () => text,
      hint: `It goes on: kubectl -n ${namespace} get backup ${name}`,
    },
  );
}

/** How far a backup is, in words: with bytes and the time that is left, where pgBackRest tells them. */
export function progressText({ status }: BackupObject, now = Date.now()): string {
  const {
    phase = 'Pending',
    message = 'the operator has not taken it up yet',
    progress,
    startedAt,
  } = status ?? {};
  const far = phase === 'Running' ? howFar(progress, startedAt, now) : '';
  return `${phase}: ${far || message}`;
}
