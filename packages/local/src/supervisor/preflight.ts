import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { hasManyIds, ROOT_UID_BASE } from '../agent/sandbox-args.ts';
import { isLocalError } from '../errors.ts';
import { run } from '../net/namespaces.ts';
import { SYSTEM_PATH } from '../net/processes.ts';
import { stateLayout } from '../state.ts';
import type { PreflightProblem } from '../types.ts';
import { checkStateFolder } from './lock.ts';

/** Tool -> Debian package. */
const TOOLS = {
  unshare: 'util-linux',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  mount: 'mount',
  ip: 'iproute2',
  nft: 'nftables',
  bwrap: 'bubblewrap',
} as const;

/** See index.ts. */
export async function preflight(options: { state?: string }): Promise<PreflightProblem[]> {
  const folder = folderProblem(options.state);
  if (folder) return [folder];
  const tools = missingTools();
  if (tools) return [tools];
  const problem = (await networkProblem()) ?? (await sandboxProblem());
  return problem ? [problem] : [];
}

function folderProblem(state: string | undefined): PreflightProblem | undefined {
  try {
    checkStateFolder(stateLayout(state));
    return undefined;
  } catch (error) {
    if (!isLocalError(error)) throw error;
    return { code: error.code as PreflightProblem['code'], message: error.message, hint: error.hint };
  }
}

/** Tools that no folder of the system's PATH has. */
export function missingTools(): PreflightProblem | undefined {
  const missing = (Object.keys(TOOLS) as (keyof typeof TOOLS)[]).filter((tool) => !isInstalled(tool));
  if (missing.length === 0) return undefined;
  const packages = [...new Set(missing.map((tool) => TOOLS[tool]))].join(' ');
  return {
    code: 'MissingTool',
    message: `local mode needs ${missing.join(', ')}, which ${missing.length === 1 ? 'is' : 'are'} not installed`,
    hint: `on Debian: apt-get install ${packages}`,
  };
}

function isInstalled(tool: string): boolean {
  return SYSTEM_PATH.split(':').some((folder) => {
    try {
      accessSync(join(folder, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const isRoot = (): boolean => process.geteuid!() === 0;

const USER_NAMESPACES =
  'as root: sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000 kernel.apparmor_restrict_unprivileged_userns=0 (those that exist)';

/** Makes what a router needs, once, in a namespace that ends with the try. */
async function networkProblem(): Promise<PreflightProblem | undefined> {
  const script = `ip link set lo up
ip link add name v0 type veth peer name v1
echo 1 >/proc/sys/net/ipv4/ip_forward
nft add table ip t
nft add chain ip t c '{ type nat hook prerouting priority dstnat; }'`;
  try {
    await run('unshare', [isRoot() ? '-n' : '-Urn', 'sh', '-ec', script]);
    return undefined;
  } catch (error) {
    return {
      code: 'NamespacesForbidden',
      message: `this machine does not let ${isRoot() ? 'root' : 'a normal user'} make a network of its own: ${reason(error)}`,
      hint: isRoot()
        ? 'in a container, run it with --privileged, or with CAP_SYS_ADMIN and CAP_NET_ADMIN and a writable /proc/sys'
        : `${USER_NAMESPACES}; or run pgherd as root`,
    };
  }
}

/** Makes a sandbox as a pod's, once. */
async function sandboxProblem(): Promise<PreflightProblem | undefined> {
  const sandbox = ['bwrap', '--unshare-user', '--uid', '26', '--gid', '26', '--unshare-pid', '--as-pid-1'];
  const rest = ['--die-with-parent', '--ro-bind', '/', '/', '--proc', '/proc', '--dev', '/dev', 'true'];
  const id = ROOT_UID_BASE + 26;
  const before = hasManyIds()
    ? ['unshare', '-n', '-m', 'setpriv', `--reuid=${id}`, `--regid=${id}`, '--clear-groups']
    : ['unshare', '-U', '-r', '-n', '-m'];
  const [program, ...args] = [...before, ...sandbox, ...rest];
  try {
    await run(program!, args);
    return undefined;
  } catch (error) {
    return {
      code: 'SandboxForbidden',
      message: `this machine does not let bubblewrap make a sandbox: ${reason(error)}`,
      hint: `${USER_NAMESPACES}; in a container, run it with --privileged, so that /proc may be mounted anew; in a chroot, its root must be a mount point`,
    };
  }
}

function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text
    .split('\n')
    .at(-1)!
    .replace(/^.*?: (?=\w+: )/, '');
}
