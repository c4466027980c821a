import type { KubeObject } from './objects.ts';

type Indexer<T> = (object: T) => string[];

export function keyOf(namespace: string | undefined, name: string): string {
  return namespace ? `${namespace}/${name}` : name;
}

/** Objects by key, by namespace and by the indexes asked for. Knows nothing of where they come from. */
export class Store<T extends KubeObject> {
  private readonly objects = new Map<string, T>();
  private readonly indexers: [string, Indexer<T>][];
  private readonly indexes = new Map<string, Map<string, Map<string, T>>>();

  constructor(indexers: Record<string, Indexer<T>>) {
    this.indexers = Object.entries({
      ...indexers,
      [NAMESPACE]: (object: T) => [object.metadata.namespace ?? ''],
    });
    for (const [name] of this.indexers) this.indexes.set(name, new Map());
  }

  get(key: string): T | undefined {
    return this.objects.get(key);
  }

  keys(): IterableIterator<string> {
    return this.objects.keys();
  }

  all(): T[] {
    return [...this.objects.values()];
  }

  inNamespace(namespace: string): T[] {
    return this.byIndex(NAMESPACE, namespace);
  }

  byIndex(index: string, key: string): T[] {
    const keys = this.indexes.get(index);
    if (!keys) throw new TypeError(`no index named ${index}`);
    return [...(keys.get(key)?.values() ?? [])];
  }

  set(key: string, object: T): void {
    const old = this.objects.get(key);
    if (old) this.unindex(key, old);
    this.objects.set(key, object);
    for (const [name, indexer] of this.indexers) {
      const keys = this.indexes.get(name)!;
      for (const at of indexer(object)) {
        const found = keys.get(at) ?? new Map<string, T>();
        found.set(key, object);
        keys.set(at, found);
      }
    }
  }

  delete(key: string): void {
    const old = this.objects.get(key);
    if (!old) return;
    this.unindex(key, old);
    this.objects.delete(key);
  }

  private unindex(key: string, object: T): void {
    for (const [name, indexer] of this.indexers) {
      const keys = this.indexes.get(name)!;
      for (const at of indexer(object)) {
        const found = keys.get(at);
        found?.delete(key);
        if (found?.size === 0) keys.delete(at);
      }
    }
  }
}

const NAMESPACE = ' namespace';
