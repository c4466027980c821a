/** An archive of an image, read back without trusting what wrote it. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { run } from '../command.ts';
import type { RunConfig } from '../oci.ts';

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  annotations?: Record<string, string>;
}

interface Manifest {
  config: Descriptor;
  layers: Descriptor[];
}

export interface OpenedImage {
  /** The unpacked root file system. */
  root: string;
  config: { architecture: string; os: string; config: RunConfig; rootfs: { diff_ids: string[] } };
  reference: string;
  digest: string;
  /** What is wrong with the archive: digests that do not match, blobs that are missing. Empty is right. */
  problems: string[];
}

/** Unpacks an archive and its layers under `folder`, which is made. */
export async function openImage(file: string, folder: string): Promise<OpenedImage> {
  const layout = join(folder, 'layout');
  const root = join(folder, 'root');
  mkdirSync(layout, { recursive: true });
  mkdirSync(root, { mode: 0o755 });
  run('tar', ['-xf', file, '-C', layout]);
  const read = <T>(path: string) => JSON.parse(readFileSync(join(layout, path), 'utf8')) as T;
  const index = read<{ manifests: [Descriptor] }>('index.json');
  const [entry] = index.manifests;
  const manifest = read<Manifest>(blobPath(entry.digest));
  const config = read<OpenedImage['config']>(blobPath(manifest.config.digest));
  const problems: string[] = [];
  for (const blob of [entry, manifest.config, ...manifest.layers]) {
    const actual = `sha256:${await digestOf(join(layout, blobPath(blob.digest)))}`;
    if (actual !== blob.digest) problems.push(`${blob.digest} holds ${actual}`);
  }
  for (const [i, layer] of manifest.layers.entries()) {
    const path = join(layout, blobPath(layer.digest));
    const plain = run('sh', ['-c', `gzip -dc '${path}' | sha256sum`]).split(' ')[0];
    if (`sha256:${plain}` !== config.rootfs.diff_ids[i]) problems.push(`diff_id of layer ${i} is wrong`);
    // As root the owners of the image; else everything is the user's own, and the sandbox shows it as such.
    run('tar', ['-xpf', path, '-C', root, '--numeric-owner']);
  }
  const [docker] = read<[{ Config: string; Layers: string[]; RepoTags: string[] }]>('manifest.json');
  for (const path of [docker.Config, ...docker.Layers])
    if (!existsSync(join(layout, path))) problems.push(`manifest.json names ${path}, which is not there`);
  const reference = entry.annotations?.['io.containerd.image.name'] ?? '';
  if (docker.RepoTags[0] !== reference) problems.push(`two names: ${docker.RepoTags[0]} and ${reference}`);
  return { root, config, reference, digest: entry.digest, problems };
}

function blobPath(digest: string): string {
  return join('blobs', digest.replace(':', '/'));
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
