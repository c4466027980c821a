/** Pod Security admission: what pods of a namespace that is labelled "restricted" or "baseline" may not do. Pure. */
import { type Obj, objectAt, objectsAt, stringAt } from './types.ts';

export type PodSecurityLevel = 'privileged' | 'baseline' | 'restricted';

const LABEL_ENFORCE = 'pod-security.kubernetes.io/enforce';

/** The level that the labels of a namespace ask for. */
export function levelOf(labels: Record<string, string> = {}): PodSecurityLevel {
  const level = labels[LABEL_ENFORCE];
  return level === 'baseline' || level === 'restricted' ? level : 'privileged';
}

const VOLUMES = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'image',
  'persistentVolumeClaim',
  'projected',
  'secret',
];
const BASELINE_CAPABILITIES = [
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
];
const SECCOMP = ['RuntimeDefault', 'Localhost'];

/** What in a pod's spec goes beyond a level, in the words of Kubernetes; empty when nothing does. */
export function podSecurityViolations(spec: Obj, level: PodSecurityLevel): string[] {
  if (level === 'privileged') return [];
  const containers = ['initContainers', 'containers', 'ephemeralContainers'].flatMap((list) =>
    objectsAt(spec, list),
  );
  const found = baseline(spec, containers);
  return level === 'restricted' ? [...found, ...restricted(spec, containers)] : found;
}

/** Names the containers of which something is true, as part of a message; undefined for none. */
function which(containers: Obj[], is: (container: Obj, security: Obj) => boolean): string | undefined {
  const names = containers
    .filter((container) => is(container, objectAt(container, 'securityContext')))
    .map(({ name }) => JSON.stringify(name));
  if (names.length === 0) return undefined;
  return names.length === 1 ? `container ${names[0]}` : `containers ${names.join(', ')}`;
}

function baseline(spec: Obj, containers: Obj[]): string[] {
  const found: string[] = [];
  const namespaces = ['hostNetwork', 'hostPID', 'hostIPC'].filter((field) => spec[field] === true);
  if (namespaces.length > 0)
    found.push(`host namespaces (${namespaces.map((name) => `${name}=true`).join(', ')})`);
  const say = (who: string | undefined, what: string, must: string) => {
    if (who) found.push(`${what} (${who} must not ${must})`);
  };
  say(
    which(containers, (_, security) => security.privileged === true),
    'privileged',
    'set securityContext.privileged=true',
  );
  say(
    which(containers, (container) =>
      objectsAt(container, 'ports').some(({ hostPort }) => Number(hostPort) > 0),
    ),
    'hostPort',
    'use a hostPort',
  );
  say(
    which(containers, (_, security) =>
      listAt(security, 'capabilities', 'add').some((name) => !BASELINE_CAPABILITIES.includes(name)),
    ),
    'non-default capabilities',
    'include more in securityContext.capabilities.add',
  );
  const paths = objectsAt(spec, 'volumes').filter((volume) => volume.hostPath !== undefined);
  if (paths.length > 0)
    found.push(`hostPath volumes (volume ${paths.map(({ name }) => JSON.stringify(name)).join(', ')})`);
  return found;
}

function listAt(value: Obj, ...path: string[]): string[] {
  const parent = objectAt(value, ...path.slice(0, -1));
  const list = parent[path.at(-1) ?? ''];
  return Array.isArray(list) ? list.map(String) : [];
}

function restricted(spec: Obj, containers: Obj[]): string[] {
  const found: string[] = [];
  const pod = objectAt(spec, 'securityContext');
  const say = (who: string | undefined, what: string, must: string) => {
    if (who) found.push(`${what} (${who} must ${must})`);
  };
  say(
    which(containers, (_, security) => security.allowPrivilegeEscalation !== false),
    'allowPrivilegeEscalation != false',
    'set securityContext.allowPrivilegeEscalation=false',
  );
  say(
    which(
      containers,
      (_, security) =>
        !listAt(security, 'capabilities', 'drop').includes('ALL') ||
        listAt(security, 'capabilities', 'add').some((name) => name !== 'NET_BIND_SERVICE'),
    ),
    'unrestricted capabilities',
    'set securityContext.capabilities.drop=["ALL"]',
  );
  const volumes = objectsAt(spec, 'volumes').filter((volume) => !VOLUMES.some((type) => type in volume));
  if (volumes.length > 0)
    found.push(
      `restricted volume types (volume ${volumes.map(({ name }) => JSON.stringify(name)).join(', ')})`,
    );
  say(
    which(containers, (_, security) => (security.runAsNonRoot ?? pod.runAsNonRoot) !== true),
    'runAsNonRoot != true',
    'set securityContext.runAsNonRoot=true',
  );
  say(
    which(containers, (_, security) => (security.runAsUser ?? pod.runAsUser) === 0),
    'runAsUser=0',
    'not set runAsUser=0',
  );
  say(
    which(containers, (_, security) => {
      const type = stringAt(security, 'seccompProfile', 'type') ?? stringAt(pod, 'seccompProfile', 'type');
      return !SECCOMP.includes(type ?? '');
    }),
    'seccompProfile',
    'set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"',
  );
  return found;
}
