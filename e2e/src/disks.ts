/** Volumes on small file systems of their own, which can hang and be filled. Needs root, for loop mounts. */
import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type KubeObject, kinds, type PersistentVolume, type StorageClass } from '@pgherd/kube';
import { node } from '@pgherd/local';
import type { Undo } from './faults.ts';
import type { Stage } from './stage.ts';

/** The class of these volumes. */
export const DISK_CLASS = 'disks';
const run = promisify(execFile);
const MB = 1 << 20;
const HOSTNAME = 'kubernetes.io/hostname';
const FILLER = 'filler';

export class Disks {
  private readonly stage: Stage;
  private readonly folder: string;
  private readonly mounted = new Set<string>();

  private constructor(stage: Stage) {
    this.stage = stage;
    this.folder = join(stage.world.state ?? '', 'disks');
  }

  /** Whether this user may mount file systems here. */
  static possible(): boolean {
    return process.getuid?.() === 0;
  }

  /** Makes one volume of so many megabytes for each of the nodes (all of them by default), and their class. */
  static async make(stage: Stage, sizeMB: number, nodes?: string[]): Promise<Disks> {
    const disks = new Disks(stage);
    const { client, world } = stage;
    world.closing.push(() => disks.end());
    const storageClass = {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata: { name: DISK_CLASS },
      provisioner: 'kubernetes.io/no-provisioner',
    };
    await client.create(kinds.StorageClass, storageClass as KubeObject as StorageClass);
    const names = nodes ?? (await node.list({ state: world.state })).map(({ name }) => name);
    for (const name of names) await disks.add(name, sizeMB);
    return disks;
  }

  private async add(name: string, sizeMB: number): Promise<void> {
    const path = join(this.folder, name);
    const image = `${path}.img`;
    mkdirSync(path, { recursive: true });
    await run('truncate', ['-s', `${sizeMB}M`, image]);
    // No reserve for root, who fills it: what is full is full for all.
    await run('mkfs.ext4', ['-q', '-m', '0', image]);
    await run('mount', ['-o', 'loop', image, path]);
    this.mounted.add(path);
    // PostgreSQL's own folder lies below; beside lost+found there is nothing of ours in it.
    const volume = {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: `disk-${name}` },
      spec: {
        capacity: { storage: `${sizeMB}Mi` },
        accessModes: ['ReadWriteOnce'],
        persistentVolumeReclaimPolicy: 'Retain',
        storageClassName: DISK_CLASS,
        volumeMode: 'Filesystem',
        hostPath: { path, type: 'DirectoryOrCreate' },
        nodeAffinity: {
          required: {
            nodeSelectorTerms: [{ matchExpressions: [{ key: HOSTNAME, operator: 'In', values: [name] }] }],
          },
        },
      },
    };
    await this.stage.client.create(kinds.PersistentVolume, volume as KubeObject as PersistentVolume);
  }

  /** Nothing that is written to the node's volume comes back, nor can who waits for it be killed. */
  async hang(name: string): Promise<Undo> {
    const path = join(this.folder, name);
    await run('fsfreeze', ['--freeze', path]);
    return async () => {
      await run('fsfreeze', ['--unfreeze', path]);
    };
  }

  /** Somebody else's file on the node's volume leaves so many megabytes. */
  async fill(name: string, leaveMB: number): Promise<Undo> {
    const path = join(this.folder, name);
    const { bavail, bsize } = statfsSync(path);
    const megabytes = Math.max(0, Math.floor((bavail * bsize) / MB) - leaveMB);
    const file = join(path, FILLER);
    await run('fallocate', ['-l', `${megabytes}M`, file]);
    return async () => rmSync(file, { force: true });
  }

  /** Unmounts them; what lies on them is gone with the world. */
  private async end(): Promise<void> {
    for (const path of this.mounted) {
      await run('fsfreeze', ['--unfreeze', path]).catch(() => {});
      await run('umount', ['--lazy', path]).catch(() => {});
    }
    this.mounted.clear();
  }
}
