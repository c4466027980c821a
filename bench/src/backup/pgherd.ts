/** Backups and restores as a user has them: objects that are applied, and what came of them. */

import { names } from '@pgherd/api';
import { ClusterKind, type ClusterObject, waitFor } from '@pgherd/cli';
import type { Stage } from '@pgherd/e2e';
import { kinds } from '@pgherd/kube';
import { BackupKind, type BackupObject } from '@pgherd/operator/backup/kind';
import { ownTime } from './bare.ts';

const LONG_MS = 600_000;
const LOOK_MS = 20;
const INSTANCE_CONFIG = '/run/pgherd/pgbackrest/pgbackrest.conf';

/** Milliseconds. */
export interface PgherdBackup {
  /** pgBackRest's command, by its own word. */
  ownMs: number;
  /** From the apply of the Backup to its end in its status. */
  wholeMs: number;
  /** From the apply to the first word of the command, and from its last word to the end of the Backup. */
  beforeMs: number;
  afterMs: number;
}

/** Milliseconds. */
export interface PgherdRestore {
  ownMs: number;
  /** From the apply of the Cluster until PostgreSQL takes writes. */
  wholeMs: number;
  /** Until pgBackRest began; from its end until the data was replayed, synced and proven; from there to `wholeMs`. */
  beforeMs: number;
  replayMs: number;
  openMs: number;
  /** From there until the Cluster is Ready and `pgherd psql`, a process that has to start, has written through it. */
  readyMs: number;
}

const now = () => performance.timeOrigin + performance.now();

export const SPEC = {
  instances: 1,
  storage: { size: '4Gi' },
  backup: { repositories: [{ name: 'local', volume: { size: '8Gi' }, retention: { full: { count: 1 } } }] },
};

/** The configurations of pgBackRest in the pods of a cluster with a repository. */
export async function configsOf(stage: Stage): Promise<{ database: string; repository: string }> {
  const database = await stage.inPod(await stage.primary(), `cat ${INSTANCE_CONFIG}`);
  const shown = await stage.kubectl([
    'exec',
    `deployment/${names(stage.cluster).backup}`,
    '--',
    'cat',
    INSTANCE_CONFIG,
  ]);
  if (shown.code !== 0) throw new Error(`reading the repository pod's configuration: ${shown.stderr}`);
  return { database, repository: shown.stdout };
}

export async function backUp(stage: Stage, name: string): Promise<PgherdBackup> {
  const ref = { namespace: stage.namespace, name };
  const began = now();
  await stage.client.create(BackupKind, {
    apiVersion: 'pgherd.io/v1',
    kind: 'Backup',
    metadata: ref,
    spec: { cluster: { name: stage.cluster }, type: 'full' },
  } as BackupObject);
  const ended = await waitFor(
    async () => {
      const { status } = await stage.client.get(BackupKind, ref);
      if (status?.phase === 'Failed') return status;
      return status?.phase === 'Completed' ? status : undefined;
    },
    { timeoutMs: LONG_MS, everyMs: LOOK_MS, describe: () => `the backup ${name} has not ended` },
  );
  const until = now();
  if (ended.phase === 'Failed') throw new Error(`the backup failed: ${ended.error}`);
  const log = await logOf(stage, `deployment/${names(stage.cluster).backup}`, began);
  const first = at(log, /backup command begin/);
  const last = at(log, /backup command end/);
  return {
    ownMs: ownTime(log.map(({ msg }) => msg).join('\n'), 'backup'),
    wholeMs: until - began,
    beforeMs: first - began,
    afterMs: until - last,
  };
}

/** Recovers a cluster of one instance out of the other's repository, and takes it away again. */
export async function restore(stage: Stage, restored: Stage): Promise<PgherdRestore> {
  const began = now();
  const { backup: _, ...spec } = SPEC;
  await restored.createCluster({
    ...spec,
    bootstrap: { recovery: { source: { cluster: stage.cluster } } },
  });
  await restored.sql('CREATE TABLE IF NOT EXISTS first_write (i int); INSERT INTO first_write VALUES (1)');
  const until = now();
  const log = await logOf(restored, await restored.primary(), began);
  const first = at(log, /restore command begin/);
  const last = at(log, /restore command end/);
  const recovered = at(log, /recovered/);
  const takesWrites = at(
    log.filter(({ ms }) => ms >= recovered),
    /ready to accept connections/,
  );
  return {
    ownMs: ownTime(log.map(({ msg }) => msg).join('\n'), 'restore'),
    wholeMs: takesWrites - began,
    beforeMs: first - began,
    replayMs: recovered - last,
    openMs: takesWrites - recovered,
    readyMs: until - takesWrites,
  };
}

/** The options that the restore had, as arguments. */
export async function restoreOptions(restored: Stage): Promise<string> {
  const config = await restored.inPod(await restored.primary(), 'cat /run/pgherd/recovery/pgbackrest.conf');
  const processes = /^process-max=(\d+)$/m.exec(config)?.[1] ?? '1';
  return `--process-max=${processes}`;
}

export async function removeCluster(stage: Stage): Promise<void> {
  const ref = { namespace: stage.namespace, name: stage.cluster };
  await stage.client.delete(ClusterKind, ref);
  await waitFor(
    async () => {
      const cluster: ClusterObject | undefined = await stage.client.find(ClusterKind, ref);
      const { items } = await stage.client.list(kinds.PersistentVolumeClaim, {
        namespace: stage.namespace,
        labelSelector: `pgherd.io/cluster=${stage.cluster}`,
      });
      return cluster === undefined && items.length === 0;
    },
    { timeoutMs: LONG_MS, describe: () => `${stage.cluster} is not gone` },
  );
}

interface Said {
  ms: number;
  msg: string;
}

/** What a pod has said since then, by its own clock, which is ours. */
async function logOf(stage: Stage, pod: string, since: number): Promise<Said[]> {
  const { stdout, code, stderr } = await stage.kubectl(['logs', pod, '--tail=-1']);
  if (code !== 0) throw new Error(`reading the log of ${pod}: ${stderr}`);
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { time: string; msg?: string })
    .map(({ time, msg = '' }) => ({ ms: Date.parse(time), msg }))
    .filter(({ ms }) => ms >= since);
}

function at(log: Said[], what: RegExp): number {
  const found = log.find(({ msg }) => what.test(msg));
  if (!found) throw new Error(`the log does not say ${what.source}`);
  return found.ms;
}
