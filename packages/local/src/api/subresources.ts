/** Subresources of built-in kinds: eviction, binding, token, log, finalize and others. */
import { sendJson } from './answer.ts';
import { decodeBody, mediaType, readBody } from './body.ts';
import { takeDisruption } from './eviction.ts';
import {
  bodyOf,
  type Call,
  contextOf,
  deleteOptions,
  noSubresource,
  patched,
  sendObject,
} from './handlers.ts';
import { podTarget, proxyGet } from './proxy.ts';
import { ApiError, badRequest, conflict, methodNotAllowed, notFound } from './status.ts';
import {
  clone,
  isObject,
  type KubeObject,
  type Obj,
  objectAt,
  objectsAt,
  stringAt,
  timestamp,
} from './types.ts';

/** Serves `/RESOURCE/NAME/SUBRESOURCE` for everything but status and scale. */
export function serveSubresource(call: Call): Promise<void> {
  const { resource, target } = call;
  switch (`${resource.storage}/${target.subresource}`) {
    case 'pods/log':
      return logs(call);
    case 'pods/eviction':
      return evict(call);
    case 'pods/binding':
      return bind(call);
    case 'serviceaccounts/token':
      return token(call);
    case 'namespaces/finalize':
      return finalize(call);
    case 'pods/ephemeralcontainers':
      if (call.info.verb !== 'get')
        throw badRequest(
          'local mode has no ephemeral containers: use "kubectl exec", every container here sees the tools of this machine',
        );
      return viaMain(call);
    case 'pods/resize':
      return viaMain(call);
    case 'pods/exec':
    case 'pods/attach':
    case 'pods/portforward':
      throw badRequest(`Upgrade request required: ${target.subresource} is served over WebSocket or SPDY`);
    default:
      return noSubresource(call);
  }
}

async function logs(call: Call): Promise<void> {
  if (call.info.verb !== 'get') throw methodNotAllowed();
  const { server, target, info } = call;
  const pod = podTarget(
    server.store,
    server.state,
    target.namespace as string,
    target.name as string,
    info.query,
  );
  const query = info.query.toString();
  await proxyGet(
    pod,
    `/logs/${target.namespace}/${target.name}/${pod.container}${query ? `?${query}` : ''}`,
    call.response,
  );
}

async function evict(call: Call): Promise<void> {
  if (call.info.verb !== 'create') throw methodNotAllowed();
  const body = await bodyOf(call);
  const context = contextOf(call);
  const pod = call.server.writer.get(context);
  const options = isObject(body) ? body.deleteOptions : undefined;
  const dryRun = isObject(options) && Array.isArray(options.dryRun) && options.dryRun.includes('All');
  context.dryRun ||= dryRun;
  takeDisruption(call.server.store, pod, call.server.now(), context.dryRun);
  call.server.writer.delete(
    { ...context, subresource: undefined },
    deleteOptions(options, new URLSearchParams()),
  );
  sendJson(call.response, 201, {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    code: 201,
  });
}

/** The scheduler's word: puts a pod on a node. */
async function bind(call: Call): Promise<void> {
  if (call.info.verb !== 'create') throw methodNotAllowed();
  const body = await bodyOf(call);
  const context = contextOf(call);
  const { writer } = call.server;
  const old = writer.get(context);
  const node = stringAt(body, 'target', 'name');
  if (!node) throw badRequest('a binding needs target.name');
  const current = objectAt(old, 'spec').nodeName;
  if (old.metadata.deletionTimestamp)
    throw conflict(context.resource, old.metadata.name, 'pod is being deleted, cannot be assigned to a host');
  if (current)
    throw conflict(
      context.resource,
      old.metadata.name,
      `pod ${old.metadata.name} is already assigned to node ${JSON.stringify(current)}`,
    );
  const pod = clone(old);
  objectAt(pod, 'spec').nodeName = node;
  const annotations = objectAt(body, 'metadata', 'annotations') as Record<string, string>;
  if (Object.keys(annotations).length)
    pod.metadata.annotations = { ...pod.metadata.annotations, ...annotations };
  const status = objectAt(pod, 'status');
  const others = objectsAt(status, 'conditions').filter((one) => one.type !== 'PodScheduled');
  const scheduled: Obj = {
    type: 'PodScheduled',
    status: 'True',
    lastProbeTime: null,
    lastTransitionTime: timestamp(call.server.now()),
  };
  pod.status = { ...status, conditions: [...others, scheduled] };
  if (!context.dryRun) call.server.store.update('pods', pod);
  sendJson(call.response, 201, {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    code: 201,
  });
}

const MIN_TOKEN_SECONDS = 600;
const DEFAULT_TOKEN_SECONDS = 3600;
const MAX_TOKEN_SECONDS = 1 << 27;

async function token(call: Call): Promise<void> {
  if (call.info.verb !== 'create') throw methodNotAllowed();
  const body = await bodyOf(call);
  const context = contextOf(call);
  const account = call.server.writer.get(context);
  const spec = objectAt(body, 'spec');
  const seconds = Number(spec.expirationSeconds ?? DEFAULT_TOKEN_SECONDS);
  if (seconds < MIN_TOKEN_SECONDS || seconds > MAX_TOKEN_SECONDS) {
    throw new ApiError(
      422,
      'Invalid',
      `TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: ${seconds}: may not specify a duration less than 10 minutes`,
      {},
    );
  }
  const audiences = Array.isArray(spec.audiences) ? spec.audiences.map(String) : [];
  const issued = call.server.authenticator.issue({
    namespace: account.metadata.namespace as string,
    account: { name: account.metadata.name, uid: account.metadata.uid },
    pod: boundPod(call, spec),
    audiences,
    seconds,
  });
  const status = { token: issued.token, expirationTimestamp: timestamp(issued.expires * 1000) };
  sendJson(call.response, 201, {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: {
      name: account.metadata.name,
      namespace: account.metadata.namespace,
      creationTimestamp: timestamp(call.server.now()),
    },
    spec: { ...spec, expirationSeconds: seconds },
    status,
  });
}

function boundPod(call: Call, spec: Obj): { name: string; uid: string } | undefined {
  const ref = spec.boundObjectRef;
  if (!isObject(ref)) return undefined;
  if (ref.kind !== 'Pod')
    throw badRequest(`cannot bind token to object of kind ${ref.kind}: only Pod is supported`);
  const name = stringAt(ref, 'name') ?? '';
  const pod = call.server.store.get('pods', call.target.namespace, name);
  const podKind = { group: '', plural: 'pods', kind: 'Pod' };
  if (!pod) throw notFound(podKind, name);
  if (ref.uid && ref.uid !== pod.metadata.uid)
    throw conflict(
      podKind,
      name,
      `the UID in the bound object reference (${ref.uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  return { name, uid: pod.metadata.uid };
}

/** The namespace controller's door to `spec.finalizers`. */
async function finalize(call: Call): Promise<void> {
  if (call.info.verb !== 'update') throw methodNotAllowed();
  const body = await bodyOf(call);
  const context = contextOf(call);
  const { writer } = call.server;
  const old = writer.get(context);
  const wanted = objectAt(body, 'spec').finalizers;
  const next = clone(old);
  const finalizers = Array.isArray(wanted) && wanted.length > 0 ? wanted : undefined;
  next.spec = { ...objectAt(next, 'spec'), finalizers };
  const version = stringAt(body, 'metadata', 'resourceVersion');
  if (version) next.metadata.resourceVersion = version;
  sendObject(call, 200, writer.replace(context, old, next));
}

/** Subresources that are the main object by another door. */
async function viaMain(call: Call): Promise<void> {
  const context = contextOf(call);
  const { writer } = call.server;
  if (call.info.verb === 'get') return sendObject(call, 200, writer.get(context));
  const type = mediaType(call.request);
  const body = await decodeBody(await readBody(call.request), type);
  const old = writer.get(context);
  if (call.info.verb === 'update') return sendObject(call, 200, writer.update(context, body));
  if (call.info.verb !== 'patch') throw methodNotAllowed();
  const next: KubeObject = patched(old, body, type, call.resource);
  sendObject(call, 200, writer.replace(context, old, next));
}
