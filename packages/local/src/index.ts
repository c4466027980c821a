/**
 * A Kubernetes API and nodes on one machine, for those who use them: start, stop, look, and break nodes on
 * purpose. What does the work is loaded when it is called, so that importing this costs nothing.
 */
import type {
  DownOptions,
  LocalInfo,
  LocalStatus,
  NodeInfo,
  PreflightProblem,
  ResetPlan,
  UpOptions,
} from './types.ts';

export { LocalError, type LocalErrorCode } from './errors.ts';
export {
  defaultStateDir,
  type ImageConfig,
  type LocalConfig,
  type NodeConfig,
  stateLayout,
} from './state.ts';
export type * from './types.ts';

/** What this machine lacks for local mode; empty where it can run. Takes about 100 ms. */
export async function preflight(options: { state?: string } = {}): Promise<PreflightProblem[]> {
  return (await import('./supervisor/preflight.ts')).preflight(options);
}

/**
 * Starts local mode and returns when the API answers and every node is registered; when it runs already, returns
 * what runs (with `alreadyRunning`).
 * @throws LocalError NotYours, AlreadyStarting, MissingTool, NamespacesForbidden, SandboxForbidden, PathTooLong,
 * PortInUse, ComponentFailed, Timeout
 */
export async function up(options: UpOptions = {}): Promise<LocalInfo> {
  return (await import('./supervisor/up.ts')).up(options);
}

/** Stops every pod (SIGTERM first) and process, and keeps the data. Returns false when nothing ran. */
export async function down(options: DownOptions = {}): Promise<boolean> {
  return (await import('./supervisor/down.ts')).down(options);
}

/** What `reset` would delete. Reads only. */
export async function planReset(options: { state?: string } = {}): Promise<ResetPlan> {
  return (await import('./supervisor/down.ts')).planReset(options);
}

/** Stops everything without grace and deletes the state folder. Asking first is the caller's duty. */
export async function reset(options: DownOptions = {}): Promise<ResetPlan> {
  return (await import('./supervisor/down.ts')).reset(options);
}

/** What runs, or that nothing does. Never throws for a state that is merely down. */
export async function status(options: { state?: string } = {}): Promise<LocalStatus> {
  return (await import('./supervisor/status.ts')).status(options);
}

/**
 * The loopback port (127.0.0.1) that leads to a service's port; waits up to `timeoutMs`
 * (default 5000) for a service that is just being made.
 * @throws LocalError NotRunning, Timeout
 */
export async function hostPort(
  state: string | undefined,
  namespace: string,
  service: string,
  port: number,
  timeoutMs = 5000,
): Promise<number> {
  return (await import('./supervisor/status.ts')).hostPort(state, namespace, service, port, timeoutMs);
}

type NodeAct = (name: string, options?: { state?: string }) => Promise<NodeInfo>;

const nodeAct =
  (action: 'stop' | 'start' | 'freeze' | 'thaw' | 'isolate' | 'join'): NodeAct =>
  async (name, options = {}) =>
    (await import('./supervisor/status.ts')).nodeAction(action, name, options);

type ApiAct = (options?: { state?: string }) => Promise<void>;

const apiAct =
  (action: 'stop' | 'start'): ApiAct =>
  async (options = {}) =>
    (await import('./supervisor/status.ts')).apiAction(action, options);

/** Taking the Kubernetes API away, and bringing it back; what runs on the nodes runs on. Throws LocalError NotRunning. */
export const api = {
  /** Kills the API server and keeps it away. */
  stop: apiAct('stop'),
  /** Starts it again; resolves when it answers. */
  start: apiAct('start'),
};

/** Looking at virtual nodes and breaking them; all throw LocalError NotRunning or UnknownNode. */
export const node = {
  list: async (options: { state?: string } = {}): Promise<NodeInfo[]> =>
    (await import('./supervisor/status.ts')).listNodes(options),
  /** Kills everything on the node with SIGKILL and takes its link down, without a word to the API. */
  stop: nodeAct('stop'),
  /** Starts a stopped node (and thaws a frozen one). */
  start: nodeAct('start'),
  /** SIGSTOP to everything on the node: pods, shims, agent. */
  freeze: nodeAct('freeze'),
  thaw: nodeAct('thaw'),
  /**
   * Takes the node's link down; its processes run on. With `keepClients` it is cut off from the API and from the pods
   * that stand behind the same services, while clients of those services still reach it.
   */
  isolate: nodeAct('isolate') as (
    name: string,
    options?: { state?: string; keepClients?: boolean },
  ) => Promise<NodeInfo>,
  /** Takes the link up again. */
  join: nodeAct('join'),
};
