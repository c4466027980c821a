import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { CgroupRoots } from './cgroup/groups.ts';

/** What a virtual node is; its index decides its addresses (10.243.N.2, pods 10.244.N.0/24). */
export interface NodeConfig {
  name: string;
  index: number;
  labels?: Record<string, string>;
  /** What somebody asked for by `node stop`, `node freeze`, `node isolate`; survives `down` and `up`. */
  stopped?: boolean;
  frozen?: boolean;
  isolated?: boolean;
}

/** What an image name means on this machine. */
export interface ImageConfig {
  /** Folders put first on PATH. */
  bin?: string[];
  /** Read-only folders of the image: path in the container -> folder on the machine. */
  mounts?: Record<string, string>;
  /** The image's own environment, below what the pod says. */
  env?: Record<string, string>;
  /** Entry point for containers that give no command. */
  command?: string[];
  /** Name in /etc/passwd of the user the container runs as; default `app`. */
  user?: string;
  /** That user's home; default `/`. */
  home?: string;
}

/** config.json. */
export interface LocalConfig {
  version: 1;
  apiPort: number;
  nodes: NodeConfig[];
  images: Record<string, ImageConfig>;
}

/** Where everything lies under a state folder. Only this file joins these names. */
export interface StateLayout {
  dir: string;
  config: string;
  /** Kept open in an exclusive transaction by the running supervisor. */
  lock: string;
  /** The administrator's. */
  kubeconfig: string;
  pki: string;
  controllersKubeconfig: string;
  apiDir: string;
  store: string;
  apiSocket: string;
  nodes: string;
  pods: string;
  volumes: string;
  logs: string;
  run: string;
  /** Unix sockets of netd, one a service port; the supervisor's relays connect to them. */
  net: string;
  supervisorSocket: string;
  relays: string;
  /** Where control groups can be made, as found by the supervisor at its start. */
  cgroups: string;
  node(name: string): { dir: string; kubeconfig: string; agentSocket: string };
  pod(uid: string): { dir: string; pod: string; shim: string; socket: string; logs: string; volumes: string };
  log(component: string): string;
  pid(component: string): string;
}

/** The state folder when none is given: PGHERD_STATE, else by user. */
export function defaultStateDir(): string {
  if (process.env.PGHERD_STATE) return resolve(process.env.PGHERD_STATE);
  return process.getuid?.() === 0 ? '/var/lib/pgherd' : join(homedir(), '.local/share/pgherd');
}

/** Names every file and folder of a state folder. Touches nothing. */
export function stateLayout(state: string = defaultStateDir()): StateLayout {
  const dir = resolve(state);
  const at = (...parts: string[]): string => join(dir, ...parts);
  return {
    dir,
    config: at('config.json'),
    lock: at('lock.db'),
    kubeconfig: at('kubeconfig'),
    pki: at('pki'),
    controllersKubeconfig: at('pki', 'controllers.kubeconfig'),
    apiDir: at('api'),
    store: at('api', 'store.db'),
    apiSocket: at('api', 'api.sock'),
    nodes: at('nodes'),
    pods: at('pods'),
    volumes: at('volumes'),
    logs: at('logs'),
    run: at('run'),
    net: at('net'),
    supervisorSocket: at('run', 'supervisor.sock'),
    relays: at('relays.json'),
    cgroups: at('run', 'cgroups.json'),
    node: (name) => ({
      dir: at('nodes', name),
      kubeconfig: at('nodes', name, 'kubeconfig'),
      agentSocket: at('nodes', name, 'agent.sock'),
    }),
    pod: (uid) => ({
      dir: at('pods', uid),
      pod: at('pods', uid, 'pod.json'),
      shim: at('pods', uid, 'shim.json'),
      socket: at('pods', uid, 'shim.sock'),
      logs: at('pods', uid, 'logs'),
      volumes: at('pods', uid, 'volumes'),
    }),
    log: (component) => at('logs', `${component}.log`),
    pid: (component) => at('run', `${component}.pid`),
  };
}

/** config.json, or undefined where there is none yet. */
export function readConfig(layout: StateLayout): LocalConfig | undefined {
  if (!existsSync(layout.config)) return undefined;
  return JSON.parse(readFileSync(layout.config, 'utf8')) as LocalConfig;
}

export function writeConfig(layout: StateLayout, config: LocalConfig): void {
  writeJson(layout.config, config);
}

/** Where control groups can be made on this machine; undefined where they cannot. */
export function readCgroups(layout: StateLayout): CgroupRoots | undefined {
  try {
    return JSON.parse(readFileSync(layout.cgroups, 'utf8')) as CgroupRoots;
  } catch {
    return undefined;
  }
}

/** Writes a JSON file so that a reader sees the old or the new one, never a part. */
export function writeJson(path: string, value: unknown, mode = 0o600): void {
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, `${JSON.stringify(value, null, 1)}\n`, { mode });
  renameSync(temporary, path);
}
