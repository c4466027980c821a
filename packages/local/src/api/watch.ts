/** One watch: past changes first, then live ones, as a stream of JSON lines. */
import type { ServerResponse } from 'node:http';
import { apiVersionOf } from './registry.ts';
import { matches, type Selector } from './selectors.ts';
import { expired } from './status.ts';
import type { Change, Store } from './store.ts';
import type { KubeObject, Obj, Resource } from './types.ts';

/** How an object is written into an event: as itself, or as a Table. */
export type Render = (object: KubeObject) => string;

export interface WatchRequest {
  resource: Resource;
  namespace: string | undefined;
  selector: Selector;
  /** Undefined or 0: start with synthetic ADDED events for what exists. */
  from: number | undefined;
  bookmarks: boolean;
  sendInitialEvents: boolean;
  timeoutMs: number;
  bookmarkMs: number;
  render: Render;
}

/** Unsent bytes at which a reader counts as gone; it will list again. */
const BACKLOG_LIMIT = 32 * 1024 * 1024;

/** Serves a watch on a response until it ends. The headers must not have been sent. */
export function serveWatch(
  store: Store,
  request: WatchRequest,
  response: ServerResponse,
  onEnd: (stop: () => void) => void,
): void {
  response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-cache, private' });
  response.flushHeaders();
  const send = (type: string, body: string) => {
    if (response.writableEnded || response.destroyed) return;
    if (response.writableLength > BACKLOG_LIMIT) response.destroy();
    else response.write(`{"type":"${type}","object":${body}}\n`);
  };
  const { resource, from } = request;
  let sentRv = from ?? 0;
  const deliver = (change: Change) => {
    sentRv = change.rv;
    const event = classify(change, request);
    if (event) send(event.type, request.render(event.object));
  };
  const bookmark = (annotations?: Obj) =>
    send('BOOKMARK', bookmarkBody(resource, Math.max(sentRv, store.rv), annotations));

  if (!from || request.sendInitialEvents) {
    for (const object of store.list(resource.storage, request.namespace)) {
      if (matches(object, request.selector)) send('ADDED', request.render(object));
    }
    sentRv = store.rv;
    if (request.sendInitialEvents && request.bookmarks) bookmark({ 'k8s.io/initial-events-end': 'true' });
  } else {
    const past = store.since(resource.storage, from);
    if (!past) {
      const error = expired(`too old resource version: ${from} (${store.oldest(resource.storage)})`);
      send('ERROR', JSON.stringify(error.status()));
      response.end();
      return;
    }
    for (const change of past) deliver(change);
  }

  const unsubscribe = store.subscribe(resource.storage, deliver);
  const bookmarks = request.bookmarks ? setInterval(() => bookmark(), request.bookmarkMs) : undefined;
  const stop = () => {
    unsubscribe();
    clearInterval(bookmarks);
    clearTimeout(timeout);
  };
  // A slow reader has not got all by then: it may be long until the response is closed.
  const finish = () => {
    stop();
    response.end();
  };
  const timeout = setTimeout(finish, request.timeoutMs);
  response.on('close', stop);
  onEnd(finish);
}

/** What a change means to someone who sees only what the selector matches. */
function classify(change: Change, request: WatchRequest): { type: string; object: KubeObject } | undefined {
  const { object, old } = change;
  if (request.namespace && object.metadata.namespace !== request.namespace) return undefined;
  const now = matches(object, request.selector);
  if (change.type !== 'MODIFIED' || !old) return now ? { type: change.type, object } : undefined;
  const before = matches(old, request.selector);
  if (now) return { type: before ? 'MODIFIED' : 'ADDED', object };
  if (!before) return undefined;
  // It left the selection: the old object, with the version of the change.
  return {
    type: 'DELETED',
    object: { ...old, metadata: { ...old.metadata, resourceVersion: String(change.rv) } },
  };
}

function bookmarkBody(resource: Resource, rv: number, annotations?: Obj): string {
  return JSON.stringify({
    kind: resource.kind,
    apiVersion: apiVersionOf(resource),
    metadata: {
      resourceVersion: String(rv),
      creationTimestamp: null,
      ...(annotations ? { annotations } : {}),
    },
  });
}

const texts = new WeakMap<KubeObject, string>();

/** An object as JSON in a version; computed once per object, since many watchers get the same text. */
export function objectText(object: KubeObject, apiVersion: string): string {
  if (object.apiVersion !== apiVersion) return JSON.stringify({ ...object, apiVersion });
  let text = texts.get(object);
  if (text === undefined) {
    text = JSON.stringify(object);
    texts.set(object, text);
  }
  return text;
}
