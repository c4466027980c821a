import type { IncomingMessage } from 'node:http';
import type { Client } from './client.ts';
import { collectionPath } from './client.ts';
import { errorFromStatus, KubeError, type Status } from './errors.ts';
import { apiVersionOf, type Kind } from './kinds.ts';
import type { KubeObject } from './objects.ts';
import type { WatchEvent, WatchOptions } from './types.ts';

/** Until the head of the answer of a watch is there. */
const HEAD_TIMEOUT_MS = 15_000;

/** Lines of a stream, however its chunks are cut. */
export async function* lines(stream: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let parts: Buffer[] = [];
  for await (const chunk of stream) {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      const piece = chunk.subarray(from, end);
      from = end + 1;
      const line = parts.length === 0 ? piece : Buffer.concat([...parts, piece]);
      parts = [];
      if (line.length > 0) yield line.toString();
    }
    if (from < chunk.length) parts.push(chunk.subarray(from));
  }
  // What is left is half an event: the connection broke in it, and the next watch brings it whole.
}

/** See Client.watch. */
export async function* watchEvents<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  options: WatchOptions,
): AsyncGenerator<WatchEvent<T>> {
  const doing = `watching ${kind.plural}${options.namespace ? ` in ${options.namespace}` : ''}`;
  const answer = await client.stream({
    path: collectionPath(kind, options.namespace),
    query: {
      watch: true,
      allowWatchBookmarks: options.bookmarks !== false,
      labelSelector: options.labelSelector,
      fieldSelector: options.fieldSelector,
      resourceVersion: options.resourceVersion,
      timeoutSeconds: options.timeoutSeconds,
    },
    signal: options.signal,
    timeoutMs: HEAD_TIMEOUT_MS,
    retry: false,
    ownConnection: true,
    doing,
  });
  options.onOpen?.();
  // A watch may be silent for a minute: only the kernel can tell a silent peer from one that is gone.
  answer.socket.setKeepAlive(true, 5_000);
  const end = () => answer.destroy();
  options.signal?.addEventListener('abort', end, { once: true });
  try {
    for await (const line of lines(answer)) yield event(kind, line, doing);
  } catch (cause) {
    if (options.signal?.aborted) return;
    if (cause instanceof KubeError) throw cause;
    throw new KubeError('Unreachable', `${doing}: the connection broke`, { cause });
  } finally {
    options.signal?.removeEventListener('abort', end);
    discard(answer);
  }
}

function discard(answer: IncomingMessage): void {
  answer.on('error', () => {});
  answer.destroy();
}

function event<T extends KubeObject>(kind: Kind<T>, line: string, doing: string): WatchEvent<T> {
  let parsed: { type: string; object: T };
  try {
    parsed = JSON.parse(line);
  } catch (cause) {
    throw new KubeError('Protocol', `${doing}: an event is not JSON: ${line.slice(0, 200)}`, { cause });
  }
  if (parsed.type === 'ERROR') {
    const status = parsed.object as unknown as Status;
    throw errorFromStatus(doing, status.code ?? 500, status);
  }
  parsed.object.apiVersion ??= apiVersionOf(kind);
  parsed.object.kind ??= kind.kind;
  return parsed as WatchEvent<T>;
}
