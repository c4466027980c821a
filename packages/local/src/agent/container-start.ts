import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Container, Pod } from '@pgherd/kube';
import { type CgroupRoots, groupName, makeGroup } from '../cgroup/groups.ts';
import { limitsOf } from '../cgroup/limits.ts';
import { LocalError } from '../errors.ts';
import { CLUSTER_DOMAIN, DNS_ADDRESS } from '../net/addresses.ts';
import { POD_MARK } from '../net/processes.ts';
import { stageFolder } from '../shim/client.ts';
import type { Stage, StartRequest } from '../shim/protocol.ts';
import type { ImageConfig, StateLayout } from '../state.ts';
import { environmentOf, expand, type PodPlace } from './env.ts';
import {
  enterCommand,
  ROOT_UID_BASE,
  type SandboxMount,
  type SandboxSpec,
  sandboxArguments,
  sandboxCommand,
} from './sandbox-args.ts';
import type { PreparedVolume, VolumeReader } from './volumes.ts';

export interface StartContext {
  layout: StateLayout;
  pod: Pod;
  place: PodPlace;
  root: boolean;
  volumes: ReadonlyMap<string, PreparedVolume>;
  reader: VolumeReader;
  /** Where control groups can be made; undefined where they cannot. */
  cgroups?: CgroupRoots;
}

/**
 * All that the shim needs to start a container.
 * @throws LocalError BadRequest (the pod is wrong), VolumeFailed
 */
export async function startRequest(
  context: StartContext,
  container: Container,
  image: ImageConfig,
  attempt: number,
): Promise<StartRequest> {
  const { layout, pod, place, root } = context;
  const imageEnv = { ...image.env };
  if (image.bin?.length) imageEnv.PATH = [...image.bin, imageEnv.PATH ?? DEFAULT_PATH].join(':');
  const env = await environmentOf(pod, container, place, imageEnv, context.reader);
  env[POD_MARK] = pod.metadata.uid!;
  const ids = idsOf(pod, container);
  const stages: Stage[] = [];
  const mounts = [
    ...etcMounts(context, image, ids, stages),
    ...imageMounts(context, image, stages),
    ...volumeMounts(context, container, stages),
  ];
  const spec: SandboxSpec = {
    hostname: hostnameOf(pod),
    ...ids,
    readOnlyRoot: container.securityContext?.readOnlyRootFilesystem ?? false,
    mounts: lastOfEachTarget(mounts),
    env,
    cwd: container.workingDir ?? '/',
  };
  const limits = context.cgroups && limitsOf(container);
  return {
    op: 'start',
    name: container.name,
    attempt,
    id: randomBytes(32).toString('hex'),
    stages,
    command: sandboxCommand(spec, root),
    sandbox: sandboxArguments(spec),
    argv: commandOf(container, image, env),
    enter: enterCommand(spec, root),
    env,
    cwd: spec.cwd,
    ...(context.cgroups && limits
      ? { cgroup: makeGroup(context.cgroups, groupName(pod.metadata.uid!, container.name), limits) }
      : {}),
    stdin: container.stdin,
    stdinOnce: container.stdinOnce,
    tty: container.tty,
    ...(root ? { owner: ROOT_UID_BASE + spec.uid } : {}),
    log: join(layout.pod(pod.metadata.uid!).logs, container.name, `${attempt}.log`),
  };
}

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

function hostnameOf(pod: Pod): string {
  return (pod.spec.hostname ?? pod.metadata.name).slice(0, 63);
}

function commandOf(container: Container, image: ImageConfig, env: Record<string, string>): string[] {
  const command = container.command ?? image.command ?? [];
  const argv = [...command, ...(container.args ?? [])].map((word) => expand(word, env));
  if (argv.length === 0)
    throw new LocalError(
      'BadRequest',
      `container "${container.name}" gives no command, and image "${container.image}" has none on this machine`,
    );
  return argv;
}

function idsOf(pod: Pod, container: Container): { uid: number; gid: number; groups: number[] } {
  const whole = pod.spec.securityContext ?? {};
  const own = container.securityContext ?? {};
  const uid = own.runAsUser ?? whole.runAsUser ?? 0;
  const gid = own.runAsGroup ?? whole.runAsGroup ?? 0;
  if ((own.runAsNonRoot ?? whole.runAsNonRoot) && uid === 0)
    throw new LocalError(
      'BadRequest',
      `container "${container.name}" has runAsNonRoot and would run as root: set runAsUser`,
    );
  const groups = new Set(whole.supplementalGroups ?? []);
  if (whole.fsGroup !== undefined) groups.add(whole.fsGroup);
  return { uid, gid, groups: [...groups] };
}

/** Files of /etc that differ from pod to pod. */
function etcMounts(
  { layout, pod, place, root }: StartContext,
  image: ImageConfig,
  { uid, gid }: { uid: number; gid: number },
  stages: Stage[],
): SandboxMount[] {
  const dir = join(layout.pod(pod.metadata.uid!).dir, 'etc', `${uid}-${gid}`);
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  const hostname = hostnameOf(pod);
  const user = uid === 0 ? 'root' : (image.user ?? 'app');
  const namespace = pod.metadata.namespace;
  const home = image.home ?? '/';
  const files: Record<string, string> = {
    passwd: `${uid === 0 ? '' : 'root:x:0:0:root:/root:/bin/sh\n'}${user}:x:${uid}:${gid}:${user}:${home}:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n`,
    group: `${gid === 0 ? '' : 'root:x:0:\n'}${gid === 0 ? 'root' : user}:x:${gid}:\nnogroup:x:65534:\n`,
    hosts: `127.0.0.1\tlocalhost\n${place.podIP}\t${hostname}\n`,
    hostname: `${hostname}\n`,
    'resolv.conf': `search ${namespace}.svc.${CLUSTER_DOMAIN} svc.${CLUSTER_DOMAIN} ${CLUSTER_DOMAIN}\nnameserver ${DNS_ADDRESS}\noptions ndots:5\n`,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text, { mode: 0o644 });
  const source = root ? join(stageFolder(layout.dir), 'etc', `${uid}-${gid}`) : dir;
  if (root) stages.push({ type: 'bind', source: dir, target: source });
  return Object.keys(files).map((name) => ({
    source: join(source, name),
    target: `/etc/${name}`,
    readOnly: true,
  }));
}

function imageMounts({ layout, root }: StartContext, image: ImageConfig, stages: Stage[]): SandboxMount[] {
  // Programs under /usr are there already.
  const bins = (image.bin ?? []).filter((folder) => !folder.startsWith('/usr/'));
  const wanted = [...bins.map((folder) => [folder, folder] as const), ...Object.entries(image.mounts ?? {})];
  return wanted.map(([target, folder]) => {
    if (!root) return { source: folder, target, readOnly: true };
    const source = join(stageFolder(layout.dir), 'i', Buffer.from(folder).toString('base64url'));
    stages.push({ type: 'bind', source: folder, target: source });
    return { source, target, readOnly: true };
  });
}

function volumeMounts(
  { volumes, root }: StartContext,
  container: Container,
  stages: Stage[],
): SandboxMount[] {
  return (container.volumeMounts ?? []).map(({ name, mountPath, subPath, readOnly }) => {
    const volume = volumes.get(name);
    if (!volume)
      throw new LocalError('VolumeFailed', `container "${container.name}" mounts unknown volume "${name}"`);
    if (volume.stage) stages.push(volume.stage);
    if (subPath) makeSubPath(volume, subPath, root);
    return {
      source: subPath ? join(volume.source, subPath) : volume.source,
      target: mountPath,
      readOnly: readOnly || volume.readOnly,
    };
  });
}

/** A subPath that is not there is made as a folder, as the kubelet does. */
function makeSubPath(volume: PreparedVolume, subPath: string, root: boolean): void {
  if (subPath.split('/').includes('..'))
    throw new LocalError('BadRequest', `subPath "${subPath}" leads outside`);
  const base = root && volume.stage?.type === 'bind' ? volume.stage.source : volume.source;
  if (volume.readOnly || volume.stage?.type === 'tmpfs') return;
  mkdirSync(join(base, subPath), { recursive: true, mode: 0o777 });
}

function lastOfEachTarget(mounts: SandboxMount[]): SandboxMount[] {
  return [...new Map(mounts.map((mount) => [mount.target, mount])).values()];
}
