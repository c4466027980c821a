import { existsSync, readFileSync, watch } from 'node:fs';
import { LocalError } from '../errors.ts';
import { readConfig, type StateLayout, stateLayout } from '../state.ts';
import type { LocalStatus, NodeInfo } from '../types.ts';
import { type ApiActionName, askSupervisor, type NodeActionName, type SupervisorInfo } from './control.ts';

const NODE_MS = 30_000;

/** See index.ts. */
export async function status(options: { state?: string }): Promise<LocalStatus> {
  const layout = stateLayout(options.state);
  const found = await askSupervisor<SupervisorInfo>(layout.supervisorSocket, { op: 'info' });
  return {
    state: layout.dir,
    running: found !== undefined,
    exists: existsSync(layout.config),
    ...(found ? { info: found.info } : {}),
    components: found ? [{ name: 'supervisor', pid: found.pid, restarts: 0 }, ...found.components] : [],
    relays: found?.relays ?? {},
  };
}

function notRunning(layout: StateLayout): LocalError {
  return new LocalError(
    'NotRunning',
    `local mode does not run in ${layout.dir}`,
    'start it with `pgherd local up`, or name its folder with --state or PGHERD_STATE',
  );
}

/** See index.ts. */
export async function listNodes(options: { state?: string }): Promise<NodeInfo[]> {
  const layout = stateLayout(options.state);
  const found = await askSupervisor<SupervisorInfo>(layout.supervisorSocket, { op: 'info' });
  if (!found) throw notRunning(layout);
  return found.info.nodes;
}

/** See index.ts. */
export async function nodeAction(
  action: NodeActionName,
  name: string,
  options: { state?: string; keepClients?: boolean },
): Promise<NodeInfo> {
  const layout = stateLayout(options.state);
  const spare = options.keepClients
    ? { spare: await (await import('./clients.ts')).clientsOf(options.state, name) }
    : {};
  const done = await askSupervisor<NodeInfo>(
    layout.supervisorSocket,
    { op: 'node', action, name, ...spare },
    { timeoutMs: NODE_MS },
  );
  if (!done) throw notRunning(layout);
  return done;
}

/** See index.ts. */
export async function apiAction(action: ApiActionName, options: { state?: string }): Promise<void> {
  const layout = stateLayout(options.state);
  const request = { op: 'api', action } as const;
  const done = await askSupervisor<SupervisorInfo>(layout.supervisorSocket, request, { timeoutMs: NODE_MS });
  if (!done) throw notRunning(layout);
}

/** See index.ts. */
export async function hostPort(
  state: string | undefined,
  namespace: string,
  service: string,
  port: number,
  timeoutMs: number,
): Promise<number> {
  const layout = stateLayout(state);
  if (!readConfig(layout)) throw notRunning(layout);
  const find = (): number | undefined => relayPort(layout, `${namespace}/${service}:${port}`);
  const found = find();
  if (found !== undefined) return found;
  const { promise, resolve } = Promise.withResolvers<number | undefined>();
  const watcher = watch(layout.dir, () => {
    const now = find();
    if (now !== undefined) resolve(now);
  });
  const timer = setTimeout(() => resolve(undefined), timeoutMs);
  const late = find() ?? (await promise);
  watcher.close();
  clearTimeout(timer);
  if (late !== undefined) return late;
  throw new LocalError(
    'Timeout',
    `no port of this machine leads to service ${namespace}/${service}, port ${port}`,
    'look whether the service exists and local mode runs: pgherd local status',
  );
}

function relayPort(layout: StateLayout, key: string): number | undefined {
  try {
    return (JSON.parse(readFileSync(layout.relays, 'utf8')) as Record<string, number>)[key];
  } catch {
    return undefined;
  }
}
