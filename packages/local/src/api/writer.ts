/**
 * Create, update and delete: from a body to the store, through defaulting, validation, generation, finalizers
 * and preconditions. Synchronous from reading the old object to writing the new one, so nothing can come in
 * between.
 */
import { randomInt, randomUUID } from 'node:crypto';
import type { Admission } from './admission.ts';
import type { WriteContext } from './context.ts';
import { customErrors, shapeCustom } from './crd/custom.ts';
import { applyDefaults } from './defaults.ts';
import {
  type DeleteOptions,
  finalizerErrors,
  finalizersFor,
  isLiveNamespace,
  mayGo,
} from './deletion-rules.ts';
import { trackUpdate } from './managed.ts';
import { generatedName, metadataErrors } from './names.ts';
import { apiVersionOf } from './registry.ts';
import { unknownFields } from './schema/strict.ts';
import {
  ApiError,
  alreadyExists,
  badRequest,
  conflict,
  type FieldError,
  forbidden,
  invalid,
  invalidValue,
  notFound,
  staleVersion,
} from './status.ts';
import type { Store } from './store.ts';
import { clone, isObject, type KubeObject, type Meta, type Obj, objectAt, same, timestamp } from './types.ts';
import {
  dropEmptyMaps,
  dropStatus,
  isChangedManager,
  keepAllButStatus,
  keepSystemFields,
  specChanged,
  unchanged,
  withoutVersion,
} from './update-rules.ts';
import { createErrors, updateErrors } from './validate.ts';

/** What a delete did. */
export interface Deleted {
  object: KubeObject;
  /** The object is gone; otherwise it waits for finalizers or its grace period. */
  gone: boolean;
}

export class Writer {
  readonly store: Store;
  readonly #admission: Admission;
  readonly #now: () => number;

  constructor(store: Store, admission: Admission, now: () => number) {
    this.store = store;
    this.#admission = admission;
    this.#now = now;
  }

  /** The stored object in the requested version; throws 404. */
  get(context: WriteContext): KubeObject {
    const found = this.store.get(context.resource.storage, context.namespace, context.name ?? '');
    if (!found) throw notFound(context.resource, context.name ?? '');
    return found;
  }

  /** POST: stores a new object. */
  create(context: WriteContext, body: unknown): KubeObject {
    return this.#create(context, body, (object) => trackUpdate(context, object, undefined, this.#now()));
  }

  /** Stores a new object whose managedFields the caller knows (server-side apply). */
  createTracked(context: WriteContext, body: Obj, managedFields: Meta['managedFields']): KubeObject {
    return this.#create(context, body, (object) => {
      object.metadata.managedFields = managedFields;
    });
  }

  #create(context: WriteContext, body: unknown, track: (object: KubeObject) => void): KubeObject {
    const { resource } = context;
    const object = this.#checkedBody(context, body);
    this.#freshMetadata(context, object);
    this.#namespaceMustLive(context, object.metadata.name);
    if (resource.status) dropStatus(object, resource.custom !== undefined);
    this.#shape(context, object, undefined);
    this.#admission.create(context, object);
    const errors = [...metadataErrors(object, resource), ...this.#errors(context, object, undefined)];
    if (errors.length) throw invalid(resource, object.metadata.name, errors);
    if (this.store.get(resource.storage, object.metadata.namespace, object.metadata.name)) {
      throw alreadyExists(resource, object.metadata.name);
    }
    track(object);
    if (context.dryRun) return object;
    this.#admission.reserve(context, object, undefined);
    return this.store.create(resource.storage, object);
  }

  /** PUT: replaces an object (or its status). */
  update(context: WriteContext, body: unknown): KubeObject {
    const object = this.#checkedBody(context, body);
    const { resource } = context;
    if (!object.metadata.name) object.metadata.name = context.name ?? '';
    if (object.metadata.name !== context.name) {
      throw badRequest(
        `the name of the object (${object.metadata.name}) does not match the name on the URL (${context.name})`,
      );
    }
    const old = this.store.get(resource.storage, context.namespace, context.name);
    if (!old) {
      if (resource.putCreates && !context.subresource && !object.metadata.resourceVersion)
        return this.create(context, object);
      throw notFound(resource, context.name ?? '');
    }
    if (!object.metadata.resourceVersion && (resource.custom || resource.putNeedsVersion)) {
      throw invalid(resource, old.metadata.name, [
        invalidValue('metadata.resourceVersion', 0, 'must be specified for an update'),
      ]);
    }
    if (object.metadata.uid && object.metadata.uid !== old.metadata.uid)
      throw conflict(resource, old.metadata.name, otherUid(object.metadata.uid, old));
    return this.replace(context, old, object);
  }

  /**
   * Puts `object` in the place of `old`: the common end of PUT and all patches. `object` must be private to the
   * caller. A write that changes nothing returns the old object with its old version.
   */
  replace(context: WriteContext, old: KubeObject, object: KubeObject, track = true): KubeObject {
    const { resource } = context;
    this.#preconditions(context, old, object.metadata);
    keepSystemFields(object, old);
    if (context.subresource === 'status') keepAllButStatus(object, old);
    else if (resource.status && context.subresource !== 'finalize') object.status = old.status;
    if (object.status === undefined) delete object.status;
    this.#shape(context, object, old);
    this.#admission.update(context, object, old);
    const errors = [
      ...metadataErrors(object, resource),
      ...this.#errors(context, object, old),
      ...finalizerErrors(object, old),
    ];
    if (errors.length) throw invalid(resource, old.metadata.name, errors);
    return this.#commit(context, old, object, track);
  }

  #commit(context: WriteContext, old: KubeObject, object: KubeObject, track: boolean): KubeObject {
    const { resource } = context;
    if (unchanged(object, old) && !isChangedManager(object, old)) return old;
    if (specChanged(context, object, old)) object.metadata.generation = (old.metadata.generation ?? 0) + 1;
    if (track) trackUpdate(context, object, old, this.#now());
    if (context.dryRun) return object;
    this.#admission.reserve(context, object, old);
    if (mayGo(object)) return this.#remove(context, object);
    return this.store.update(resource.storage, object);
  }

  #remove(context: WriteContext, object: KubeObject): KubeObject {
    const gone = this.store.delete(context.resource.storage, object);
    this.#admission.released(context, gone);
    return gone;
  }

  /** DELETE of one object. */
  delete(context: WriteContext, options: DeleteOptions): Deleted {
    const { resource } = context;
    const old = this.get(context);
    this.#deletePreconditions(context, old, options.preconditions);
    this.#admission.delete(context, old);
    const finalizers = finalizersFor(old, options);
    const grace = this.#grace(context, old, options);
    const waits = finalizers.length > 0 || grace > 0 || isLiveNamespace(resource.storage, old);
    if (!waits) {
      if (context.dryRun) return { object: old, gone: true };
      return { object: this.#remove(context, old), gone: true };
    }
    const object = this.#marked(old, finalizers, grace);
    if (resource.storage === 'namespaces')
      object.status = { ...objectAt(object, 'status'), phase: 'Terminating' };
    if (context.dryRun) return { object, gone: false };
    if (same(withoutVersion(object), withoutVersion(old))) return { object: old, gone: false };
    return { object: this.store.update(resource.storage, object), gone: false };
  }

  #marked(old: KubeObject, finalizers: string[], grace: number): KubeObject {
    const object = clone(old);
    const { metadata } = object;
    metadata.finalizers = finalizers.length ? finalizers : undefined;
    const deadline = timestamp(this.#now() + grace * 1000);
    // A second delete may shorten the grace period, never lengthen it.
    if (!metadata.deletionTimestamp || grace < (metadata.deletionGracePeriodSeconds ?? 0)) {
      if (!metadata.deletionTimestamp && metadata.generation !== undefined) metadata.generation += 1;
      metadata.deletionTimestamp = deadline;
      metadata.deletionGracePeriodSeconds = grace;
    }
    return object;
  }

  /** Seconds a pod gets to end; 0 for everything that goes at once. */
  #grace(context: WriteContext, old: KubeObject, options: DeleteOptions): number {
    if (context.resource.storage !== 'pods') return 0;
    const spec = objectAt(old, 'spec');
    const phase = objectAt(old, 'status').phase;
    if (!spec.nodeName || phase === 'Succeeded' || phase === 'Failed') return 0;
    const wished = options.gracePeriodSeconds ?? Number(spec.terminationGracePeriodSeconds ?? 30);
    const grace = wished < 0 ? 1 : wished;
    const running = old.metadata.deletionTimestamp ? old.metadata.deletionGracePeriodSeconds : undefined;
    return running === undefined || running === 0 ? grace : Math.min(grace, running);
  }

  #checkedBody(context: WriteContext, body: unknown): KubeObject {
    const { resource } = context;
    if (!isObject(body)) throw badRequest('the request body must be a JSON object');
    const wanted = apiVersionOf(resource);
    const object = body as KubeObject;
    if (object.apiVersion !== undefined && object.apiVersion !== '' && object.apiVersion !== wanted) {
      throw badRequest(
        `the API version in the data (${object.apiVersion}) does not match the expected API version (${wanted})`,
      );
    }
    if (object.kind !== undefined && object.kind !== '' && object.kind !== resource.kind) {
      throw badRequest(
        `${object.kind} in version ${JSON.stringify(resource.version)} cannot be handled as a ${resource.kind}: no kind "${object.kind}" is expected here`,
      );
    }
    object.apiVersion = wanted;
    object.kind = resource.kind;
    if (!isObject(object.metadata)) object.metadata = {} as Meta;
    const { metadata } = object;
    if (resource.namespaced) {
      metadata.namespace ??= context.namespace;
      if (metadata.namespace !== context.namespace) {
        throw badRequest(
          `the namespace of the provided object does not match the namespace sent on the request`,
        );
      }
    } else delete metadata.namespace;
    for (const key of Object.keys(metadata) as (keyof Meta)[])
      if (metadata[key] === null) delete metadata[key];
    dropEmptyMaps(metadata);
    return object;
  }

  #freshMetadata(context: WriteContext, object: KubeObject): void {
    const { metadata } = object;
    if (metadata.resourceVersion)
      throw badRequest('resourceVersion should not be set on objects to be created');
    if (!metadata.name && metadata.generateName)
      metadata.name = generatedName(metadata.generateName, randomInt);
    metadata.uid = randomUUID();
    metadata.creationTimestamp = timestamp(this.#now());
    delete metadata.resourceVersion;
    delete metadata.deletionTimestamp;
    delete metadata.deletionGracePeriodSeconds;
    delete metadata.managedFields;
    delete (metadata as unknown as Obj).selfLink;
    if (context.resource.generation === 'none' && !context.resource.custom) delete metadata.generation;
    else metadata.generation = 1;
  }

  #namespaceMustLive(context: WriteContext, name: string): void {
    if (!context.resource.namespaced) return;
    const namespace = this.store.get('namespaces', undefined, context.namespace ?? '');
    if (!namespace)
      throw notFound({ group: '', plural: 'namespaces', kind: 'Namespace' }, context.namespace ?? '');
    if (namespace.metadata.deletionTimestamp) {
      const error = forbidden(
        context.resource,
        name,
        `unable to create new content in namespace ${context.namespace} because it is being terminated`,
      );
      throw new ApiError(403, 'Forbidden', error.message, {
        ...error.details,
        causes: [
          {
            reason: 'NamespaceTerminating',
            message: `namespace ${context.namespace} is being terminated`,
            field: 'metadata.namespace',
          },
        ],
      });
    }
  }

  /** Unknown fields, pruning and defaults. */
  #shape(context: WriteContext, object: KubeObject, old: KubeObject | undefined): void {
    const { custom } = context.resource;
    const unknown = custom ? shapeCustom(object, custom) : unknownFields(object, context.resource);
    reportUnknown(context, object, unknown);
    if (!custom) applyDefaults(context.resource.storage, object);
    if (old && context.resource.storage === 'secrets') delete object.stringData;
  }

  #errors(context: WriteContext, object: KubeObject, old: KubeObject | undefined): FieldError[] {
    const { custom } = context.resource;
    if (custom) return customErrors(object, old, custom);
    return old
      ? updateErrors(context.resource, object, old, context.subresource)
      : createErrors(context.resource, object);
  }

  #preconditions(context: WriteContext, old: KubeObject, metadata: Meta): void {
    const { resource } = context;
    if (metadata.uid && metadata.uid !== old.metadata.uid)
      throw invalid(resource, old.metadata.name, [
        invalidValue('metadata.uid', metadata.uid, 'field is immutable'),
      ]);
    if (
      metadata.resourceVersion &&
      metadata.resourceVersion !== '0' &&
      metadata.resourceVersion !== old.metadata.resourceVersion
    ) {
      throw staleVersion(resource, old.metadata.name);
    }
  }

  #deletePreconditions(context: WriteContext, old: KubeObject, wanted: DeleteOptions['preconditions']): void {
    if (wanted?.uid && wanted.uid !== old.metadata.uid) {
      throw conflict(context.resource, old.metadata.name, otherUid(wanted.uid, old));
    }
    if (wanted?.resourceVersion && wanted.resourceVersion !== old.metadata.resourceVersion) {
      throw conflict(
        context.resource,
        old.metadata.name,
        `the ResourceVersion in the precondition (${wanted.resourceVersion}) does not match the ResourceVersion in record (${old.metadata.resourceVersion}). The object might have been modified`,
      );
    }
  }
}

function otherUid(wanted: string, { metadata }: KubeObject): string {
  return `the UID in the precondition (${wanted}) does not match the UID in record (${metadata.uid}). The object might have been deleted and then recreated`;
}

function reportUnknown(context: WriteContext, object: KubeObject, unknown: string[]): void {
  if (unknown.length === 0 || context.fieldValidation === 'Ignore') return;
  const texts = unknown.map((path) => `unknown field ${JSON.stringify(path)}`);
  if (context.fieldValidation === 'Warn') {
    context.warnings.push(...texts);
    return;
  }
  const { resource } = context;
  const summary = `strict decoding error: ${texts.join(', ')}`;
  if (resource.custom)
    throw badRequest(
      `${resource.kind} in version ${JSON.stringify(resource.version)} cannot be handled as a ${resource.kind}: ${summary}`,
    );
  throw badRequest(
    `${object.kind} in version ${JSON.stringify(resource.version)} cannot be handled as a ${resource.kind}: ${summary}`,
  );
}
