/**
 * Where objects live: all of them in memory, each write in SQLite before it is acknowledged, one counter of
 * resourceVersions for everything. Recent changes are kept per resource (also on disk), so that a watch
 * resumes where it stopped, even across a restart.
 *
 * Everything here is synchronous: a caller may read, decide and write without another request in between.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { KubeObject } from './types.ts';

export type ChangeType = 'ADDED' | 'MODIFIED' | 'DELETED';

/** One write, as watchers see it. */
export interface Change {
  rv: number;
  type: ChangeType;
  /** The object after the write; for DELETED its last state with the version of the deletion. */
  object: KubeObject;
  /** The object before a MODIFIED; undefined after a restart unless labels or fields that selectors see changed. */
  old?: KubeObject;
}

export interface StoreOptions {
  /** SQLite file, or `:memory:`. */
  path: string;
  /** Changes kept per resource. Default 1000. */
  history?: number;
}

/** What parts of an object a selector can see, as one string to compare. */
function selectableParts(object: KubeObject): string {
  return JSON.stringify([
    object.metadata.labels,
    object.metadata.ownerReferences?.length,
    object.spec,
    phaseOf(object),
  ]);
}

function phaseOf(object: KubeObject): unknown {
  const status = object.status as { phase?: unknown } | undefined;
  return status?.phase;
}

export class Store {
  readonly #db: DatabaseSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;
  readonly #append: StatementSync;
  readonly #trim: StatementSync;
  readonly #horizonPut: StatementSync;
  readonly #limit: number;
  readonly #objects = new Map<string, Map<string, KubeObject>>();
  readonly #history = new Map<string, Change[]>();
  readonly #horizon = new Map<string, number>();
  readonly #listeners = new Map<string, Set<(change: Change) => void>>();
  #rv = 0;

  constructor(options: StoreOptions) {
    this.#limit = options.history ?? 1000;
    this.#db = new DatabaseSync(options.path);
    this.#db.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = NORMAL;
      CREATE TABLE IF NOT EXISTS objects (resource TEXT, key TEXT, body TEXT NOT NULL, PRIMARY KEY (resource, key)) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS history (rv INTEGER PRIMARY KEY, resource TEXT NOT NULL, type TEXT NOT NULL, body TEXT NOT NULL, old TEXT);
      CREATE INDEX IF NOT EXISTS history_resource ON history (resource, rv);
      CREATE TABLE IF NOT EXISTS horizon (resource TEXT PRIMARY KEY, rv INTEGER NOT NULL);
    `);
    this.#put = this.#db.prepare(
      'INSERT INTO objects VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body',
    );
    this.#remove = this.#db.prepare('DELETE FROM objects WHERE resource = ? AND key = ?');
    this.#append = this.#db.prepare('INSERT INTO history VALUES (?, ?, ?, ?, ?)');
    this.#trim = this.#db.prepare('DELETE FROM history WHERE resource = ? AND rv <= ?');
    this.#horizonPut = this.#db.prepare(
      'INSERT INTO horizon VALUES (?, ?) ON CONFLICT DO UPDATE SET rv = excluded.rv',
    );
    this.#load();
  }

  #load(): void {
    for (const row of this.#db.prepare('SELECT resource, key, body FROM objects').iterate()) {
      const object = JSON.parse(row.body as string) as KubeObject;
      this.#of(row.resource as string).set(row.key as string, object);
      this.#rv = Math.max(this.#rv, Number(object.metadata.resourceVersion));
    }
    for (const row of this.#db
      .prepare('SELECT rv, resource, type, body, old FROM history ORDER BY rv')
      .iterate()) {
      const change: Change = {
        rv: row.rv as number,
        type: row.type as ChangeType,
        object: JSON.parse(row.body as string) as KubeObject,
      };
      if (row.old !== null) change.old = JSON.parse(row.old as string) as KubeObject;
      this.#historyOf(row.resource as string).push(change);
      this.#rv = Math.max(this.#rv, change.rv);
    }
    for (const row of this.#db.prepare('SELECT resource, rv FROM horizon').iterate()) {
      this.#horizon.set(row.resource as string, row.rv as number);
    }
  }

  /** The version of the latest write. */
  get rv(): number {
    return this.#rv;
  }

  get(resource: string, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#objects.get(resource)?.get(keyOf(namespace, name));
  }

  /** All objects of a resource, or those of one namespace, by namespace and name. */
  list(resource: string, namespace?: string): KubeObject[] {
    const all = this.#objects.get(resource);
    if (!all) return [];
    const keys = [...all.keys()];
    const wanted = namespace ? keys.filter((key) => key.startsWith(`${namespace}/`)) : keys;
    return wanted.sort().map((key) => all.get(key) as KubeObject);
  }

  count(resource: string): number {
    return this.#objects.get(resource)?.size ?? 0;
  }

  /** Resources that hold objects. */
  resources(): string[] {
    return [...this.#objects].filter(([, objects]) => objects.size > 0).map(([resource]) => resource);
  }

  /** Stores an object that does not exist yet and returns it with its version. */
  create(resource: string, object: KubeObject): KubeObject {
    return this.#write(resource, 'ADDED', object, undefined);
  }

  /** Replaces an object that exists and returns it with its new version. */
  update(resource: string, object: KubeObject): KubeObject {
    return this.#write(
      resource,
      'MODIFIED',
      object,
      this.get(resource, object.metadata.namespace, object.metadata.name),
    );
  }

  /** Removes an object; returns its last state carrying the version of the deletion. */
  delete(resource: string, object: KubeObject): KubeObject {
    return this.#write(resource, 'DELETED', object, undefined);
  }

  #write(resource: string, type: ChangeType, object: KubeObject, old: KubeObject | undefined): KubeObject {
    const rv = this.#rv + 1;
    const stored: KubeObject = { ...object, metadata: { ...object.metadata, resourceVersion: String(rv) } };
    const key = keyOf(stored.metadata.namespace, stored.metadata.name);
    const body = JSON.stringify(stored);
    const keepOld = old !== undefined && selectableParts(old) !== selectableParts(stored);
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      if (type === 'DELETED') this.#remove.run(resource, key);
      else this.#put.run(resource, key, body);
      this.#append.run(rv, resource, type, body, keepOld ? JSON.stringify(old) : null);
      this.#db.exec('COMMIT');
    } catch (error) {
      this.#db.exec('ROLLBACK');
      throw error;
    }
    this.#rv = rv;
    if (type === 'DELETED') this.#of(resource).delete(key);
    else this.#of(resource).set(key, stored);
    const change: Change = { rv, type, object: stored };
    if (keepOld) change.old = old;
    this.#remember(resource, change);
    for (const listener of this.#listeners.get(resource) ?? []) listener(change);
    return stored;
  }

  #remember(resource: string, change: Change): void {
    const history = this.#historyOf(resource);
    history.push(change);
    // Trimmed a quarter at a time, so that the cost of trimming is spread over many writes.
    if (history.length < this.#limit * 1.25) return;
    const dropped = history.splice(0, history.length - this.#limit);
    const horizon = dropped.at(-1)?.rv ?? 0;
    this.#horizon.set(resource, horizon);
    this.#horizonPut.run(resource, horizon);
    this.#trim.run(resource, horizon);
  }

  /** Changes of a resource after a version, oldest first; undefined when they are no longer all kept. */
  since(resource: string, rv: number): Change[] | undefined {
    if (rv > this.#rv || rv < (this.#horizon.get(resource) ?? 0)) return undefined;
    const history = this.#historyOf(resource);
    let low = 0;
    let high = history.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((history[middle] as Change).rv <= rv) low = middle + 1;
      else high = middle;
    }
    return history.slice(low);
  }

  /** The oldest version a watch of this resource can start from. */
  oldest(resource: string): number {
    return this.#horizon.get(resource) ?? 0;
  }

  /** Calls back synchronously after each write of a resource; returns how to stop. */
  subscribe(resource: string, listener: (change: Change) => void): () => void {
    let listeners = this.#listeners.get(resource);
    if (!listeners) {
      listeners = new Set();
      this.#listeners.set(resource, listeners);
    }
    const set = listeners;
    set.add(listener);
    return () => set.delete(listener);
  }

  close(): void {
    this.#db.close();
  }

  #of(resource: string): Map<string, KubeObject> {
    let objects = this.#objects.get(resource);
    if (!objects) {
      objects = new Map();
      this.#objects.set(resource, objects);
    }
    return objects;
  }

  #historyOf(resource: string): Change[] {
    let history = this.#history.get(resource);
    if (!history) {
      history = [];
      this.#history.set(resource, history);
    }
    return history;
  }
}

function keyOf(namespace: string | undefined, name: string): string {
  return namespace ? `${namespace}/${name}` : name;
}
