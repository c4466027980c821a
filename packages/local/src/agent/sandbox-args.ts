import { existsSync, lstatSync, readFileSync, readlinkSync } from 'node:fs';

/** Ids of containers under root: far from the machine's own users. */
export const ROOT_UID_BASE = 1_000_000;

/**
 * True when we may become any user: root of the machine, or of a container with enough ids. Root of a user
 * namespace with one id (a normal user's) may not, and needs not: all its pods belong to that user.
 */
export function hasManyIds(map: string = readFileSync('/proc/self/uid_map', 'utf8')): boolean {
  if (process.geteuid?.() !== 0) return false;
  return map.split('\n').some((line) => {
    const [inside, , count] = line.trim().split(/\s+/).map(Number);
    if (inside === undefined || count === undefined) return false;
    return inside <= ROOT_UID_BASE && inside + count > ROOT_UID_BASE + 65_535;
  });
}

export interface SandboxMount {
  source: string;
  target: string;
  readOnly?: boolean;
}

export interface SandboxSpec {
  hostname: string;
  uid: number;
  gid: number;
  /** Supplementary groups, fsGroup among them. */
  groups: number[];
  readOnlyRoot: boolean;
  mounts: SandboxMount[];
  env: Record<string, string>;
  cwd: string;
}

/** Parts of the machine's /etc that programs of a Debian /usr expect. */
const ETC = [
  'alternatives',
  'bash.bashrc',
  'debian_version',
  'inputrc',
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'locale.alias',
  'localtime',
  'mime.types',
  'nsswitch.conf',
  'os-release',
  'perl',
  'postgresql-common',
  'profile',
  'protocols',
  'services',
  'ssl',
  'terminfo',
  'timezone',
];

const TOP = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'];

let system: string[] | undefined;

/** The machine's programs, read-only: the same for every container. */
function systemMounts(): string[] {
  system ??= [
    ...['--ro-bind', '/usr', '/usr'],
    ...TOP.map((name) => `/${name}`)
      .filter((path) => existsSync(path))
      .flatMap((path) =>
        lstatSync(path).isSymbolicLink()
          ? ['--symlink', readlinkSync(path), path]
          : ['--ro-bind', path, path],
      ),
    ...ETC.map((name) => `/etc/${name}`)
      .filter((path) => existsSync(path))
      .flatMap((path) => ['--ro-bind', path, path]),
  ];
  return system;
}

/** bwrap's options for a container. They hold its environment, secrets included: hand them over a pipe. */
export function sandboxArguments(spec: SandboxSpec): string[] {
  // Outer mounts first, whatever the order in the pod.
  const mounts = spec.mounts.toSorted((a, b) => depth(a.target) - depth(b.target));
  return [
    ...['--unshare-user', '--uid', String(spec.uid), '--gid', String(spec.gid)],
    ...['--unshare-pid', '--unshare-uts', '--unshare-ipc', '--as-pid-1', '--die-with-parent'],
    ...['--hostname', spec.hostname, '--perms', '0755', '--dir', '/etc'],
    ...systemMounts(),
    ...['--proc', '/proc', '--dev', '/dev'],
    ...['--perms', '1777', '--dir', '/tmp', '--perms', '1777', '--dir', '/var/tmp'],
    ...['--perms', '0755', '--dir', '/run', '--symlink', '../run', '/var/run'],
    ...mounts.flatMap(({ source, target, readOnly }) => [readOnly ? '--ro-bind' : '--bind', source, target]),
    ...(spec.readOnlyRoot ? ['--remount-ro', '/'] : []),
    '--clearenv',
    ...Object.entries(spec.env).flatMap(([name, value]) => ['--setenv', name, value]),
    ...['--chdir', spec.cwd],
  ];
}

/** The program that becomes the sandbox: as root, first somebody else. */
export function sandboxCommand(spec: SandboxSpec, root: boolean): string[] {
  if (!root) return ['bwrap'];
  const groups = spec.groups.map((gid) => String(ROOT_UID_BASE + gid)).join(',');
  return [
    'setpriv',
    `--reuid=${ROOT_UID_BASE + spec.uid}`,
    `--regid=${ROOT_UID_BASE + spec.gid}`,
    groups === '' ? '--clear-groups' : `--groups=${groups}`,
    'bwrap',
  ];
}

/** How a command gets into the running sandbox, before and after the number of its first process. */
export function enterCommand(spec: SandboxSpec, root: boolean): { before: string[]; after: string[] } {
  return {
    before: ['nsenter', '-t'],
    after: [
      ...['-m', '-p', '-u', '-i', '-U'],
      ...(root ? ['-S', String(spec.uid), '-G', String(spec.gid)] : ['--preserve-credentials']),
    ],
  };
}

function depth(path: string): number {
  return path.split('/').length;
}
