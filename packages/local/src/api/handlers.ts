/** What each verb does to a resource. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isTrue } from '../query.ts';
import { formOf } from './accept.ts';
import { renderList, renderObject, sendJson, sendText } from './answer.ts';
import { apply } from './apply.ts';
import { decodeBody, mediaType, readBody } from './body.ts';
import type { WriteContext } from './context.ts';
import type { DeleteOptions } from './deletion-rules.ts';
import { listObjects } from './list.ts';
import { jsonPatch, mergePatch } from './patch.ts';
import type { RequestInfo, Target } from './request.ts';
import { answerReview } from './reviews.ts';
import { scaleOf, withScale } from './scale.ts';
import { parseSelector } from './selectors.ts';
import type { Server } from './server.ts';
import {
  badRequest,
  forbiddenValue,
  invalidOptions,
  methodNotAllowed,
  noSuchPath,
  notFound,
  requiredValue,
  unsupportedMediaType,
  unsupportedValue,
} from './status.ts';
import { strategicMergePatch } from './strategic.ts';
import { serveSubresource } from './subresources.ts';
import {
  clone,
  isObject,
  type KubeObject,
  type Obj,
  objectAt,
  type Resource,
  stringAt,
  type User,
} from './types.ts';
import { inward } from './versions.ts';
import { serveWatch } from './watch.ts';

/** Everything about one request to a resource. */
export interface Call {
  server: Server;
  request: IncomingMessage;
  response: ServerResponse;
  info: RequestInfo;
  target: Target;
  resource: Resource;
  user: User;
}

const MIN_WATCH_MS = 30 * 60_000;

/** Serves a request to a resource that exists and that the user may make. */
export async function serveResource(call: Call): Promise<void> {
  const { info, target, resource } = call;
  if (resource.verbs.length === 1) return review(call);
  if (target.subresource === 'status' && resource.status) return serveObject(call);
  if (target.subresource === 'scale' && resource.scale) return serveScale(call);
  if (target.subresource) return serveSubresource(call);
  if (target.name) return serveObject(call);
  switch (info.verb) {
    case 'list':
      return list(call);
    case 'watch':
      return watch(call);
    case 'create':
      return create(call);
    case 'deletecollection':
      return deleteCollection(call);
    default:
      throw methodNotAllowed();
  }
}

function serveObject(call: Call): Promise<void> | void {
  switch (call.info.verb) {
    case 'get':
      return get(call);
    case 'update':
      return update(call);
    case 'patch':
      return patch(call);
    case 'delete':
      if (call.target.subresource) throw methodNotAllowed();
      return remove(call);
    default:
      throw methodNotAllowed();
  }
}

/** Kinds that have no controller here. */
const STORED_ONLY = new Set([
  'replicationcontrollers',
  'limitranges',
  'statefulsets.apps',
  'daemonsets.apps',
  'horizontalpodautoscalers.autoscaling',
  'ingresses.networking.k8s.io',
  'networkpolicies.networking.k8s.io',
  'validatingwebhookconfigurations.admissionregistration.k8s.io',
  'mutatingwebhookconfigurations.admissionregistration.k8s.io',
]);

function storedOnly({ kind }: Resource): string {
  return `nothing in local mode acts on a ${kind}: it is only stored`;
}

/** As what the parameters of a verb are validated. */
const OPTIONS: Record<string, string> = {
  update: 'UpdateOptions',
  patch: 'PatchOptions',
  delete: 'DeleteOptions',
  deletecollection: 'DeleteOptions',
};
const PROPAGATION = ['Background', 'Foreground', 'Orphan'];

/** The context of a write; checks the common query parameters. */
export function contextOf(call: Call): WriteContext {
  const { info, target, resource, request, user } = call;
  const dryRun = info.query.getAll('dryRun');
  const kind = OPTIONS[info.verb] ?? 'CreateOptions';
  if (dryRun.some((value) => value !== 'All' && value !== ''))
    throw invalidOptions(kind, [unsupportedValue('dryRun', dryRun, ['All'])]);
  const validation = info.query.get('fieldValidation') || 'Warn';
  if (validation !== 'Strict' && validation !== 'Warn' && validation !== 'Ignore')
    throw invalidOptions(kind, [
      unsupportedValue('fieldValidation', validation, ['', 'Ignore', 'Strict', 'Warn']),
    ]);
  return {
    user,
    resource,
    namespace: resource.namespaced ? target.namespace : undefined,
    name: target.name,
    subresource: target.subresource,
    manager:
      info.query.get('fieldManager') ||
      (request.headers['user-agent'] ?? 'unknown').split('/')[0] ||
      'unknown',
    dryRun: dryRun.includes('All'),
    fieldValidation: validation,
    warnings: [...(STORED_ONLY.has(resource.storage) ? [storedOnly(resource)] : [])],
  };
}

/** The decoded body of a request, in the stored form. */
export async function bodyOf(call: Call): Promise<unknown> {
  return inward(await decodeBody(await readBody(call.request), mediaType(call.request)), call.resource);
}

/** Sends one object in the form the client asked for. */
export function sendObject(call: Call, code: number, object: KubeObject, warnings: string[] = []): void {
  const form = formOf(call.request.headers.accept, call.info.query);
  sendText(
    call.response,
    code,
    renderObject(object, call.resource, form, call.server.now()),
    'application/json',
    warnings,
  );
}

function get(call: Call): void {
  sendObject(call, 200, call.server.writer.get(contextOf(call)));
}

function list(call: Call): void {
  const { server, resource, target, info } = call;
  const selector = parseSelector(info.query, resource);
  const { items, metadata } = listObjects(server.store, resource, target.namespace, selector, info.query);
  const form = formOf(call.request.headers.accept, info.query);
  sendText(call.response, 200, renderList(items, metadata, resource, form, server.now()));
}

function watch(call: Call): void {
  const { server, resource, target, info, request, response } = call;
  const { query } = info;
  const form = formOf(request.headers.accept, query);
  const from = query.get('resourceVersion');
  if (from && !/^\d+$/.test(from)) throw badRequest(`invalid resource version ${JSON.stringify(from)}`);
  const sendInitialEvents = isTrue(query.get('sendInitialEvents') ?? 'false');
  if (sendInitialEvents && query.get('resourceVersionMatch') !== 'NotOlderThan')
    throw invalidOptions('ListOptions', [
      forbiddenValue(
        'resourceVersionMatch',
        'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan',
      ),
    ]);
  if (!sendInitialEvents && query.get('resourceVersionMatch'))
    throw invalidOptions('ListOptions', [
      forbiddenValue(
        'resourceVersionMatch',
        'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
      ),
    ]);
  const seconds = Number(query.get('timeoutSeconds') ?? 0);
  let first = true;
  serveWatch(
    server.store,
    {
      resource,
      namespace: target.namespace,
      selector: parseSelector(query, resource),
      from: from ? Number(from) : undefined,
      bookmarks: isTrue(query.get('allowWatchBookmarks') ?? 'false'),
      sendInitialEvents,
      timeoutMs: seconds > 0 ? seconds * 1000 : MIN_WATCH_MS * (1 + Math.random()),
      bookmarkMs: server.bookmarkMs,
      render: (object) => {
        const text = renderObject(object, resource, form, server.now(), first);
        first = false;
        return text;
      },
    },
    response,
    (stop) => server.addStream(response, stop),
  );
}

async function create(call: Call): Promise<void> {
  const body = await bodyOf(call);
  const context = contextOf(call);
  const object = call.server.writer.create(context, body);
  sendObject(call, 201, object, context.warnings);
}

async function update(call: Call): Promise<void> {
  const body = await bodyOf(call);
  const context = contextOf(call);
  const { writer } = call.server;
  const exists = writer.store.get(call.resource.storage, context.namespace, context.name ?? '') !== undefined;
  const object = writer.update(context, body);
  sendObject(call, exists ? 200 : 201, object, context.warnings);
}

async function patch(call: Call): Promise<void> {
  const data = await readBody(call.request);
  const type = mediaType(call.request);
  const body = await decodeBody(data, type);
  const context = contextOf(call);
  const { writer } = call.server;
  if (type === 'application/apply-patch+yaml') {
    const force = isTrue(call.info.query.get('force') ?? 'false');
    if (!call.info.query.get('fieldManager'))
      throw invalidOptions('PatchOptions', [requiredValue('fieldManager', 'is required for apply patch')]);
    const { object, created } = apply(writer, context, body, force, call.server.now());
    return sendObject(call, created ? 201 : 200, object, context.warnings);
  }
  const old = writer.get(context);
  const next = patched(old, body, type, call.resource);
  const object = writer.replace(context, old, next);
  sendObject(call, 200, object, context.warnings);
}

/** The object after a patch; a resourceVersion or uid in the patch stays in it as a precondition. */
export function patched(old: KubeObject, body: unknown, type: string, resource: Resource): KubeObject {
  switch (type) {
    case 'application/json-patch+json':
      return jsonPatch(old, body) as KubeObject;
    case 'application/merge-patch+json':
      return clone(mergePatch(old, objectBody(body))) as KubeObject;
    case 'application/strategic-merge-patch+json':
      if (resource.custom) {
        throw unsupportedMediaType(
          'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml',
        );
      }
      return strategicMergePatch(old, objectBody(body), resource);
    default:
      throw unsupportedMediaType(
        'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml',
      );
  }
}

function objectBody(body: unknown): Obj {
  if (!isObject(body)) throw badRequest('the patch must be a JSON object');
  return body;
}

/** DeleteOptions from body and query. */
export function deleteOptions(body: unknown, query: URLSearchParams): DeleteOptions {
  const options = isObject(body) ? body : {};
  const grace = query.get('gracePeriodSeconds') ?? options.gracePeriodSeconds;
  const orphan = query.get('orphanDependents') ?? options.orphanDependents;
  const policy =
    query.get('propagationPolicy') ??
    options.propagationPolicy ??
    (orphan === true || (typeof orphan === 'string' && isTrue(orphan)) ? 'Orphan' : undefined);
  const preconditions = objectAt(options, 'preconditions');
  if (policy !== undefined && policy !== null && !PROPAGATION.includes(String(policy)))
    throw invalidOptions('DeleteOptions', [unsupportedValue('propagationPolicy', policy, PROPAGATION)]);
  return {
    gracePeriodSeconds: grace === undefined || grace === null ? undefined : Number(grace),
    propagationPolicy: typeof policy === 'string' ? policy : undefined,
    preconditions: {
      uid: stringAt(preconditions, 'uid'),
      resourceVersion: stringAt(preconditions, 'resourceVersion'),
    },
  };
}

/** Whether DeleteOptions in a body ask for a dry run. */
function bodyDryRun(body: unknown): boolean {
  const list = isObject(body) ? body.dryRun : undefined;
  return Array.isArray(list) && list.includes('All');
}

async function remove(call: Call): Promise<void> {
  const body = await decodeBody(await readBody(call.request), mediaType(call.request));
  const context = contextOf(call);
  context.dryRun ||= bodyDryRun(body);
  const { object, gone } = call.server.writer.delete(context, deleteOptions(body, call.info.query));
  if (!gone || call.resource.deleteReturnsObject) return sendObject(call, 200, object);
  sendJson(call.response, 200, deletedStatus(object, call.resource));
}

function deletedStatus(object: KubeObject, resource: Resource): Obj {
  const { name, uid } = object.metadata;
  const details = { name, ...(resource.group ? { group: resource.group } : {}), kind: resource.plural, uid };
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
}

async function deleteCollection(call: Call): Promise<void> {
  const body = await decodeBody(await readBody(call.request), mediaType(call.request));
  const { server, resource, target, info } = call;
  const options = deleteOptions(body, info.query);
  const dryRun = bodyDryRun(body);
  const { items } = listObjects(
    server.store,
    resource,
    target.namespace,
    parseSelector(info.query, resource),
    new URLSearchParams(),
  );
  const deleted: KubeObject[] = [];
  for (const item of items) {
    const context = { ...contextOf(call), name: item.metadata.name, namespace: item.metadata.namespace };
    context.dryRun ||= dryRun;
    // Deleting one may have taken others with it.
    if (!server.store.get(resource.storage, item.metadata.namespace, item.metadata.name)) continue;
    deleted.push(server.writer.delete(context, options).object);
  }
  sendText(
    call.response,
    200,
    renderList(
      deleted,
      { resourceVersion: String(server.store.rv) },
      resource,
      { as: 'object' },
      server.now(),
    ),
  );
}

async function serveScale(call: Call): Promise<void> {
  const { server, resource, info } = call;
  const context = contextOf(call);
  const old = server.writer.get(context);
  if (info.verb === 'get') return sendJson(call.response, 200, scaleOf(old, resource));
  if (info.verb !== 'update' && info.verb !== 'patch') throw methodNotAllowed();
  const type = mediaType(call.request);
  const body = await decodeBody(await readBody(call.request), type);
  // Read again: the body took time.
  const current = server.writer.get(context);
  const view = scaleOf(current, resource) as KubeObject;
  const scale =
    info.verb === 'update'
      ? body
      : type === 'application/json-patch+json'
        ? jsonPatch(view, body)
        : mergePatch(view, objectBody(body));
  // The scale is the object's spec by another door: not a status write.
  const object = server.writer.replace(context, current, withScale(current, resource, scale));
  sendJson(call.response, 200, scaleOf(object, resource));
}

async function review(call: Call): Promise<void> {
  if (call.info.verb !== 'create') throw methodNotAllowed();
  const body = await bodyOf(call);
  const { server, resource, user, target } = call;
  const answer = answerReview(
    resource,
    isObject(body) ? body : {},
    user,
    server.authorizer,
    server.authenticator,
    target.namespace,
  );
  sendJson(call.response, 201, answer);
}

/** 404 for a subresource that nothing serves. */
export function noSubresource(call: Call): never {
  if (
    call.target.name &&
    !call.server.store.get(call.resource.storage, call.target.namespace, call.target.name)
  ) {
    throw notFound(call.resource, call.target.name);
  }
  throw noSuchPath();
}
