/** CustomResourceDefinitions: from the object in the store to resources that are served. */
import { compareVersions, type Registry } from '../registry.ts';
import type { Store } from '../store.ts';
import {
  type CustomVersion,
  isObject,
  type KubeObject,
  type Obj,
  objectAt,
  objectsAt,
  type PrinterColumn,
  type Resource,
  type Schema,
  stringAt,
} from '../types.ts';

export const CRDS = 'customresourcedefinitions.apiextensions.k8s.io';
const AGE: PrinterColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };
const VERBS = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'];
const CLEANUP = 'customresourcecleanup.apiextensions.k8s.io';

export class CrdManager {
  readonly #store: Store;
  readonly #registry: Registry;
  readonly #now: () => number;
  readonly #changed = new Set<() => void>();

  constructor(store: Store, registry: Registry, now: () => number) {
    this.#store = store;
    this.#registry = registry;
    this.#now = now;
    for (const definition of store.list(CRDS)) this.#register(definition);
    store.subscribe(CRDS, (change) => {
      if (change.type === 'DELETED') this.#registry.setCustom(change.object.metadata.name, []);
      else this.#register(change.object);
      for (const listener of this.#changed) listener();
      // Later, not from within a write of the store.
      if (change.object.metadata.deletionTimestamp) setImmediate(() => this.cleanUp());
    });
  }

  /** Calls back whenever the set of served resources may have changed. */
  onChange(listener: () => void): void {
    this.#changed.add(listener);
  }

  #register(definition: KubeObject): void {
    this.#registry.setCustom(definition.metadata.name, resourcesOf(definition));
  }

  /** Completes a definition on its way into the store: names, list kind, conditions, the clean-up finalizer. */
  prepare(object: KubeObject, old: KubeObject | undefined): void {
    const spec = objectAt(object, 'spec');
    const names = objectAt(spec, 'names');
    if (typeof names.kind === 'string') {
      names.listKind ??= `${names.kind}List`;
      names.singular ??= names.kind.toLowerCase();
    }
    spec.conversion ??= { strategy: 'None' };
    if (!old) object.metadata.finalizers = [...new Set([...(object.metadata.finalizers ?? []), CLEANUP])];
    const stored = objectsAt(spec, 'versions').find((version) => version.storage === true)?.name;
    const before = Array.isArray(objectAt(old, 'status').storedVersions)
      ? (objectAt(old, 'status').storedVersions as unknown[])
      : [];
    const storedVersions = stored === undefined || before.includes(stored) ? before : [...before, stored];
    const previous = objectsAt(old, 'status', 'conditions');
    object.status = {
      ...objectAt(object, 'status'),
      conditions: previous.length ? previous : this.#accepted(),
      acceptedNames: { ...names },
      storedVersions,
    };
  }

  #accepted(): Obj[] {
    const lastTransitionTime = `${new Date(this.#now()).toISOString().slice(0, 19)}Z`;
    return [
      {
        type: 'NamesAccepted',
        status: 'True',
        lastTransitionTime,
        reason: 'NoConflicts',
        message: 'no conflicts found',
      },
      {
        type: 'Established',
        status: 'True',
        lastTransitionTime,
        reason: 'InitialNamesAccepted',
        message: 'the initial names have been accepted',
      },
    ];
  }

  /** Carries on with definitions that are being deleted: their objects first, then they themselves. */
  cleanUp(): void {
    for (const definition of this.#store.list(CRDS)) {
      if (definition.metadata.deletionTimestamp && definition.metadata.finalizers?.includes(CLEANUP))
        this.#empty(definition);
    }
  }

  #empty(definition: KubeObject): void {
    const storage = definition.metadata.name;
    for (const object of this.#store.list(storage)) {
      if (!object.metadata.finalizers?.length) this.#store.delete(storage, object);
      else if (!object.metadata.deletionTimestamp) {
        const deletionTimestamp = `${new Date(this.#now()).toISOString().slice(0, 19)}Z`;
        this.#store.update(storage, {
          ...object,
          metadata: { ...object.metadata, deletionTimestamp, deletionGracePeriodSeconds: 0 },
        });
      }
    }
    if (this.#store.count(storage) > 0) {
      // The last of them will be back here when its finalizers are gone.
      const stop = this.#store.subscribe(storage, (change) => {
        if (change.type !== 'DELETED') return;
        stop();
        setImmediate(() => this.cleanUp());
      });
      return;
    }
    const finalizers = definition.metadata.finalizers?.filter((name) => name !== CLEANUP);
    const next = { ...definition, metadata: { ...definition.metadata, finalizers } };
    if (finalizers?.length) this.#store.update(CRDS, next);
    else this.#store.delete(CRDS, next);
  }
}

/** The served resources of a definition, the preferred version first. */
function resourcesOf(definition: KubeObject): Resource[] {
  const spec = objectAt(definition, 'spec');
  const established = objectsAt(definition, 'status', 'conditions').some(
    (one) => one.type === 'Established' && one.status === 'True',
  );
  return objectsAt(spec, 'versions')
    .filter((version) => version.served === true)
    .sort((a, b) => compareVersions(String(a.name), String(b.name)))
    .map((version) => resourceOf(definition, spec, version, established));
}

function resourceOf(definition: KubeObject, spec: Obj, version: Obj, established: boolean): Resource {
  const names = objectAt(spec, 'names');
  const kind = String(names.kind);
  const subresources = objectAt(version, 'subresources');
  return {
    group: String(spec.group),
    version: String(version.name),
    plural: String(names.plural),
    singular: stringAt(names, 'singular') ?? kind.toLowerCase(),
    kind,
    listKind: stringAt(names, 'listKind') ?? `${kind}List`,
    namespaced: spec.scope === 'Namespaced',
    shortNames: stringsOf(names.shortNames),
    categories: stringsOf(names.categories),
    status: isObject(subresources.status),
    scale: scaleOf(subresources.scale),
    verbs: VERBS,
    storage: definition.metadata.name,
    selectable: objectsAt(version, 'selectableFields').map((one) => String(one.jsonPath).replace(/^\./, '')),
    putCreates: false,
    putNeedsVersion: true,
    generation: 'all',
    deleteReturnsObject: false,
    custom: customOf(definition, version, established),
  };
}

function customOf(definition: KubeObject, version: Obj, established: boolean): CustomVersion {
  const schema = objectAt(version, 'schema', 'openAPIV3Schema') as Schema;
  const columns = objectsAt(version, 'additionalPrinterColumns') as unknown as PrinterColumn[];
  return {
    crdName: definition.metadata.name,
    crdUid: definition.metadata.uid,
    schema,
    preserveRoot: objectAt(definition, 'spec').preserveUnknownFields === true,
    columns: columns.length ? columns : [AGE],
    established,
  };
}

function scaleOf(scale: unknown): Resource['scale'] {
  if (!isObject(scale)) return undefined;
  const path = (text: unknown) => String(text).split('.').filter(Boolean);
  return {
    specPath: path(scale.specReplicasPath),
    statusPath: path(scale.statusReplicasPath),
    selectorPath: scale.labelSelectorPath ? path(scale.labelSelectorPath) : undefined,
  };
}

function stringsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
