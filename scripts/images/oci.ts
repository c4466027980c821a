/**
 * An image as one file that every tool takes: an OCI layout in a tar archive (ctr, podman, skopeo, buildah), with
 * the manifest.json of `docker save` beside it (docker load). Both point at the same blobs.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { run } from './command.ts';

const OCI = 'application/vnd.oci.image';

/** What a container of the image runs, and as whom, when nothing else is said. */
export interface RunConfig {
  User: string;
  Env: string[];
  Entrypoint?: string[];
  Cmd?: string[];
  WorkingDir?: string;
  StopSignal?: string;
  Labels: Record<string, string>;
}

export interface Layer {
  /** An uncompressed tar archive. */
  tar: string;
  /** What stands in the image's history for it. */
  madeBy: string;
}

export interface ImageInput {
  /** Full name with its tag, such as ghcr.io/pgherd/postgresql:15. */
  reference: string;
  architecture: string;
  config: RunConfig;
  layers: Layer[];
  /** Seconds; stands as the time of everything. */
  epoch: number;
}

export interface BuiltImage {
  reference: string;
  file: string;
  /** Digest of the manifest: what a registry and a kubelet name the image by. */
  digest: string;
  /** Bytes that a node downloads. */
  compressed: number;
  /** Bytes of the layers, unpacked. */
  unpacked: number;
}

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  annotations?: Record<string, string>;
}

interface Blob {
  digest: string;
  size: number;
}

interface CompressedLayer extends Blob {
  diffId: string;
  unpacked: number;
}

/** Writes the archive `file`; the folder `scratch` must exist and be on the same file system. */
export async function writeImage(image: ImageInput, file: string, scratch: string): Promise<BuiltImage> {
  const layout = await mkdtemp(join(scratch, 'layout-'));
  const blobs = join(layout, 'blobs', 'sha256');
  await mkdir(blobs, { recursive: true });
  const layers: CompressedLayer[] = [];
  for (const layer of image.layers) layers.push(await compress(layer.tar, blobs));
  const config = await putJson(blobs, configOf(image, layers));
  const manifest = await putJson(blobs, manifestOf(config, layers));
  const files = {
    'oci-layout': { imageLayoutVersion: '1.0.0' },
    'index.json': indexOf(image, manifest),
    'manifest.json': dockerManifestOf(image, config, layers),
  };
  for (const [name, content] of Object.entries(files))
    await writeFile(join(layout, name), JSON.stringify(content));
  // oci-layout first: readers that take the archive as a stream learn from it what they have before them.
  tarFolder(layout, file, image.epoch, ['oci-layout', 'index.json', 'manifest.json', 'blobs']);
  await rm(layout, { recursive: true });
  const sum = (of: (layer: CompressedLayer) => number) => layers.reduce((all, layer) => all + of(layer), 0);
  return {
    reference: image.reference,
    file,
    digest: manifest.digest,
    compressed: sum((layer) => layer.size) + config.size + manifest.size,
    unpacked: sum((layer) => layer.unpacked),
  };
}

/** A tar archive that depends on contents and modes alone: sorted, one time, owned by root. */
export function tarFolder(folder: string, target: string, epoch: number, members: string[] = ['.']): void {
  run('tar', [
    '--create',
    `--file=${target}`,
    `--directory=${folder}`,
    '--format=gnu',
    '--sort=name',
    `--mtime=@${epoch}`,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    ...members,
  ]);
}

/** The image's configuration, as OCI and Docker define it. */
function configOf(image: ImageInput, layers: { diffId: string }[]): object {
  const created = isoTime(image.epoch);
  return {
    created,
    architecture: image.architecture,
    os: 'linux',
    config: image.config,
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
    history: image.layers.map((layer) => ({ created, created_by: layer.madeBy })),
  };
}

export function manifestOf(config: Blob, layers: Blob[]): object {
  return {
    schemaVersion: 2,
    mediaType: `${OCI}.manifest.v1+json`,
    config: descriptor(`${OCI}.config.v1+json`, config),
    layers: layers.map((layer) => descriptor(`${OCI}.layer.v1.tar+gzip`, layer)),
  };
}

export function indexOf(image: ImageInput, manifest: Blob): object {
  return {
    schemaVersion: 2,
    mediaType: `${OCI}.index.v1+json`,
    manifests: [
      {
        ...descriptor(`${OCI}.manifest.v1+json`, manifest),
        platform: { architecture: image.architecture, os: 'linux' },
        annotations: {
          // containerd takes the name from the first, everyone else the tag from the second.
          'io.containerd.image.name': image.reference,
          'org.opencontainers.image.ref.name': image.reference.slice(image.reference.lastIndexOf(':') + 1),
        },
      },
    ],
  };
}

function dockerManifestOf(image: ImageInput, config: Blob, layers: Blob[]): object {
  return [
    {
      Config: blobPath(config.digest),
      RepoTags: [image.reference],
      Layers: layers.map((layer) => blobPath(layer.digest)),
    },
  ];
}

/** Seconds as OCI writes times: RFC 3339 without fractions. */
export function isoTime(epoch: number): string {
  return new Date(epoch * 1000).toISOString().replace('.000Z', 'Z');
}

function descriptor(mediaType: string, { digest, size }: Blob): Descriptor {
  return { mediaType, digest, size };
}

function blobPath(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

async function putJson(blobs: string, content: object): Promise<Blob> {
  const text = JSON.stringify(content);
  const hex = createHash('sha256').update(text).digest('hex');
  await writeFile(join(blobs, hex), text);
  return { digest: `sha256:${hex}`, size: Buffer.byteLength(text) };
}

async function compress(tar: string, blobs: string): Promise<CompressedLayer> {
  const plain = createHash('sha256');
  const packed = createHash('sha256');
  const draft = join(blobs, 'draft');
  await pipeline(
    createReadStream(tar, { highWaterMark: 1 << 20 }),
    observed(plain),
    createGzip({ level: 9 }),
    observed(packed),
    createWriteStream(draft),
  );
  const hex = packed.digest('hex');
  const { size } = await stat(draft);
  await rename(draft, join(blobs, hex));
  return {
    digest: `sha256:${hex}`,
    size,
    diffId: `sha256:${plain.digest('hex')}`,
    unpacked: (await stat(tar)).size,
  };
}

function observed(hash: ReturnType<typeof createHash>): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
}
