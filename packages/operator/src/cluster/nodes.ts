/** Which nodes are cordoned: what runs there is about to be moved; and which do not answer. */
import { type Client, createCache, kinds, type Log } from '@pgherd/kube';

export interface Nodes {
  start(signal: AbortSignal): void;
  synced(): Promise<void>;
  /** Names of the nodes that take no new pods. */
  cordoned(): ReadonlySet<string>;
  /** Names of the nodes that have not said for a while that they work: nobody knows what runs there. */
  unready(): ReadonlySet<string>;
  /** Names of all nodes; undefined where they are not known. */
  names(): ReadonlySet<string> | undefined;
}

/** Watches all nodes; `onChange` is told of a node that was cordoned, or is no longer. */
export function watchNodes(client: Client, log: Log, onChange: (node: string) => void): Nodes {
  const cache = createCache(client, kinds.Node, { log });
  const marked = new Set<string>();
  const silent = new Set<string>();
  const known = new Set<string>();
  cache.onChange((node, old) => {
    const { name } = (node ?? old)!.metadata;
    if (node) known.add(name);
    else known.delete(name);
    const ready = node?.status?.conditions?.find(({ type }) => type === 'Ready');
    if (ready && ready.status !== 'True') silent.add(name);
    else silent.delete(name);
    const is = node?.spec?.unschedulable === true;
    if (is === marked.has(name)) return;
    if (is) marked.add(name);
    else marked.delete(name);
    onChange(name);
  });
  return {
    start: (signal) => cache.start(signal),
    synced: () => cache.synced(),
    cordoned: () => marked,
    unready: () => silent,
    names: () => known,
  };
}

/** For an operator that may not look at nodes, since it looks after some namespaces only. */
export const noNodes: Nodes = {
  start() {},
  synced: () => Promise.resolve(),
  cordoned: () => new Set(),
  unready: () => new Set(),
  names: () => undefined,
};
