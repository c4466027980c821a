import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { KeyToPath, PersistentVolume, PersistentVolumeClaim, Pod, Volume } from '@pgherd/kube';
import { LocalError } from '../errors.ts';
import type { Stage } from '../shim/protocol.ts';
import { amount, fieldOf, type ObjectReader, type PodPlace } from './env.ts';
import { ROOT_UID_BASE } from './sandbox-args.ts';

/** Where volumes get what is in them. */
export interface VolumeReader extends ObjectReader {
  claim(name: string): Promise<PersistentVolumeClaim | undefined>;
  volume(name: string): Promise<PersistentVolume | undefined>;
  token(request: {
    audience?: string;
    expirationSeconds: number;
  }): Promise<{ token: string; expires: number }>;
}

export interface PreparedVolume {
  /** What containers bind. */
  source: string;
  stage?: Stage;
  readOnly?: boolean;
  /** When its content has to be made again (a token's age), in milliseconds since 1970. */
  renewAt?: number;
}

export interface VolumeContext {
  pod: Pod;
  place: PodPlace;
  /** `pods/UID/volumes` */
  dir: string;
  root: boolean;
  /** Where the shim binds sources, as root. */
  stage: string;
  reader: VolumeReader;
  now: number;
}

const DEFAULT_TOKEN_S = 3607;
const READABLE = 0o644;

/** Makes (or refreshes) one volume of a pod. @throws LocalError VolumeFailed */
export async function prepareVolume(context: VolumeContext, volume: Volume): Promise<PreparedVolume> {
  const path = join(context.dir, volume.name);
  if (volume.emptyDir) return emptyDir(context, volume, path);
  if (volume.persistentVolumeClaim) return claimed(context, volume.name, volume.persistentVolumeClaim);
  if (volume.hostPath) return staged(context, volume.name, hostPath(volume.hostPath));
  const content = await contentOf(context, volume);
  if (!content)
    throw new LocalError('VolumeFailed', `volume "${volume.name}" is of a kind that is not supported`);
  writeFiles(path, content.files, (file, mode) => own(context, file, mode));
  return { ...staged(context, volume.name, path), readOnly: true, renewAt: content.renewAt };
}

/** As root, a pod's user cannot pass the folders above; the shim binds the source to a place it can. */
function staged({ root, stage }: VolumeContext, name: string, source: string): PreparedVolume {
  if (!root) return { source };
  const target = join(stage, 'v', name);
  return { source: target, stage: { type: 'bind', source, target } };
}

function emptyDir(context: VolumeContext, volume: Volume, path: string): PreparedVolume {
  const fresh = !existsSync(path);
  mkdirSync(path, { recursive: true });
  if (fresh) share(context, path);
  const { medium, sizeLimit } = volume.emptyDir!;
  if (medium !== 'Memory') return staged(context, volume.name, path);
  const gid = context.root ? ROOT_UID_BASE + (context.pod.spec.securityContext?.fsGroup ?? 0) : 0;
  const size = sizeLimit ? `,size=${Math.ceil(amount(sizeLimit))}` : '';
  const target = context.root ? join(context.stage, 'v', volume.name) : path;
  return { source: target, stage: { type: 'tmpfs', target, options: `mode=2777,gid=${gid}${size}` } };
}

/** Anybody in the pod may write, and what is written belongs to the pod's group. */
function share(context: VolumeContext, path: string): void {
  const fsGroup = context.pod.spec.securityContext?.fsGroup;
  if (context.root && fsGroup !== undefined) chownSync(path, 0, ROOT_UID_BASE + fsGroup);
  chmodSync(path, fsGroup === undefined ? 0o777 : 0o2777);
}

async function claimed(
  context: VolumeContext,
  name: string,
  { claimName, readOnly }: NonNullable<Volume['persistentVolumeClaim']>,
): Promise<PreparedVolume> {
  const claim = await context.reader.claim(claimName);
  if (!claim) throw new LocalError('VolumeFailed', `persistentvolumeclaim "${claimName}" not found`);
  const volumeName = claim.spec.volumeName;
  if (!volumeName || claim.status?.phase !== 'Bound')
    throw new LocalError('VolumeFailed', `persistentvolumeclaim "${claimName}" is not bound yet`);
  const volume = await context.reader.volume(volumeName);
  const path = volume?.spec.hostPath?.path ?? volume?.spec.local?.path;
  if (!path)
    throw new LocalError('VolumeFailed', `persistentvolume "${volumeName}" has no path on this machine`);
  mkdirSync(path, { recursive: true });
  const fsGroup = context.pod.spec.securityContext?.fsGroup;
  if (context.root) applyGroup(path, fsGroup ?? 0);
  return { ...staged(context, name, path), readOnly: readOnly ?? false };
}

/** Gives the root of a volume to the pod's group; what is in it already is left alone, as by OnRootMismatch. */
function applyGroup(path: string, fsGroup: number): void {
  const gid = ROOT_UID_BASE + fsGroup;
  const { gid: now, mode } = statSync(path);
  if (now === gid && (mode & 0o2770) === 0o2770) return;
  chownSync(path, 0, gid);
  chmodSync(path, 0o2775);
}

function hostPath({ path, type = '' }: { path: string; type?: string }): string {
  if (type === 'DirectoryOrCreate') mkdirSync(path, { recursive: true });
  if (type === 'FileOrCreate' && !existsSync(path)) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, '');
  }
  if (!existsSync(path)) throw new LocalError('VolumeFailed', `hostPath ${path} does not exist`);
  return path;
}

interface FileContent {
  data: Buffer;
  mode: number;
}

type Files = Record<string, FileContent>;

async function contentOf(
  context: VolumeContext,
  volume: Volume,
): Promise<{ files: Files; renewAt?: number } | undefined> {
  const { secret, configMap, downwardAPI, projected } = volume;
  if (secret) {
    const source = { name: secret.secretName, ...secret };
    return { files: await secretFiles(context, source, secret.defaultMode) };
  }
  if (configMap) return { files: await configFiles(context, configMap, configMap.defaultMode) };
  if (downwardAPI) return { files: downward(context, downwardAPI.items, downwardAPI.defaultMode) };
  if (!projected) return undefined;
  const files: Files = {};
  let renewAt: number | undefined;
  const mode = projected.defaultMode;
  for (const source of projected.sources ?? []) {
    if (source.secret) Object.assign(files, await secretFiles(context, source.secret, mode));
    if (source.configMap) Object.assign(files, await configFiles(context, source.configMap, mode));
    if (source.downwardAPI) Object.assign(files, downward(context, source.downwardAPI.items, mode));
    if (source.serviceAccountToken) {
      const { path, audience, expirationSeconds = DEFAULT_TOKEN_S } = source.serviceAccountToken;
      const { token, expires } = await context.reader.token({ audience, expirationSeconds });
      files[path] = { data: Buffer.from(token), mode: 0o600 };
      // At 80 % of its life, as the kubelet does, and a day at the latest.
      const renew = context.now + Math.min((expires - context.now) * 0.8, 86_400_000);
      renewAt = Math.min(renewAt ?? Number.POSITIVE_INFINITY, renew);
    }
  }
  return { files, renewAt };
}

interface KeyedSource {
  name?: string;
  items?: KeyToPath[];
  optional?: boolean;
}

async function secretFiles(context: VolumeContext, source: KeyedSource, mode = READABLE): Promise<Files> {
  const secret = await context.reader.secret(source.name ?? '');
  if (!secret && !source.optional) throw new LocalError('VolumeFailed', `secret "${source.name}" not found`);
  const data = Object.entries(secret?.data ?? {}).map(
    ([key, value]) => [key, Buffer.from(value, 'base64')] as const,
  );
  return select(new Map(data), source, mode, 'secret', secret !== undefined);
}

async function configFiles(context: VolumeContext, source: KeyedSource, mode = READABLE): Promise<Files> {
  const found = await context.reader.configMap(source.name ?? '');
  if (!found && !source.optional)
    throw new LocalError('VolumeFailed', `configmap "${source.name}" not found`);
  const data = new Map(Object.entries(found?.data ?? {}).map(([key, value]) => [key, Buffer.from(value)]));
  for (const [key, value] of Object.entries(found?.binaryData ?? {}))
    data.set(key, Buffer.from(value, 'base64'));
  return select(data, source, mode, 'configmap', found !== undefined);
}

function select(
  data: Map<string, Buffer>,
  source: KeyedSource,
  mode: number,
  what: string,
  exists: boolean,
): Files {
  if (!source.items) return Object.fromEntries([...data].map(([key, value]) => [key, { data: value, mode }]));
  const files: Files = {};
  for (const item of source.items) {
    const value = data.get(item.key);
    if (value) files[item.path] = { data: value, mode: item.mode ?? mode };
    else if (exists && !source.optional)
      throw new LocalError('VolumeFailed', `${what} "${source.name}" has no key ${item.key}`);
  }
  return files;
}

function downward(
  context: VolumeContext,
  items: { path: string; fieldRef?: { fieldPath: string } }[] = [],
  mode = READABLE,
): Files {
  return Object.fromEntries(
    items.map(({ path, fieldRef }) => [
      path,
      { data: Buffer.from(fieldRef ? fieldOf(context.pod, fieldRef.fieldPath, context.place) : ''), mode },
    ]),
  );
}

/** Files are root's and the pod's group's; without a group, and where they are secret, the pod's user's. */
function own(context: VolumeContext, file: string, mode: number): void {
  const { fsGroup, runAsUser } = context.pod.spec.securityContext ?? {};
  if (!context.root) {
    chmodSync(file, mode);
    return;
  }
  const containerUser = context.pod.spec.containers[0]?.securityContext?.runAsUser;
  const uid = ROOT_UID_BASE + (containerUser ?? runAsUser ?? 0);
  if (fsGroup === undefined) {
    chownSync(file, uid, uid);
    chmodSync(file, mode);
  } else {
    chownSync(file, 0, ROOT_UID_BASE + fsGroup);
    chmodSync(file, mode | 0o440);
  }
}

/**
 * Writes a set of files so that a reader never sees a mixture of old and new: a new folder, one renamed link to
 * it, and links to files through that link. Writes nothing when nothing differs.
 */
function writeFiles(dir: string, files: Files, own: (path: string, mode: number) => void): void {
  const link = join(dir, '..data');
  if (sameFiles(link, files)) return;
  mkdirSync(dir, { recursive: true });
  chmodSync(dir, 0o755);
  const before = existsSync(link) ? readlinkSync(link) : undefined;
  const name = `..${new Date().toISOString().replaceAll(/[-:.]/g, '_')}_${process.hrtime.bigint() % 1_000_000n}`;
  for (const [path, { data, mode }] of Object.entries(files)) {
    const file = join(dir, name, path);
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
    writeFileSync(file, data, { mode: 0o600 });
    own(file, mode);
  }
  mkdirSync(join(dir, name), { recursive: true, mode: 0o755 });
  chmodSync(join(dir, name), 0o755);
  symlinkSync(name, join(dir, '..data_tmp'));
  renameSync(join(dir, '..data_tmp'), link);
  const wanted = new Set(Object.keys(files).map((path) => path.split('/')[0]!));
  for (const entry of wanted) {
    if (!existsSync(join(dir, entry))) symlinkSync(join('..data', entry), join(dir, entry));
  }
  for (const entry of readdirSync(dir)) {
    if (!entry.startsWith('..') && !wanted.has(entry)) rmSync(join(dir, entry));
  }
  if (before) rmSync(join(dir, before), { recursive: true, force: true });
}

function sameFiles(link: string, files: Files): boolean {
  if (!existsSync(link)) return false;
  const there = readdirSync(link, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  if (there.length !== Object.keys(files).length) return false;
  return Object.entries(files).every(([path, { data }]) => {
    const file = join(link, path);
    return existsSync(file) && readFileSync(file).equals(data);
  });
}
