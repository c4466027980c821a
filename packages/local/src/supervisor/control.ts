import { chmodSync, existsSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { isLocalError, LocalError, type LocalErrorCode } from '../errors.ts';
import { LineReader } from '../shim/protocol.ts';
import type { ComponentInfo, LocalInfo, NodeInfo, Progress } from '../types.ts';
import type { SparedTraffic } from './clients.ts';

export type ApiActionName = 'stop' | 'start';
export type NodeActionName = 'stop' | 'start' | 'freeze' | 'thaw' | 'isolate' | 'join';

/** What can be asked of the supervisor over its socket, one JSON line each way. */
export type ControlRequest =
  | { op: 'info' }
  | { op: 'down'; graceMs: number }
  | { op: 'node'; action: NodeActionName; name: string; spare?: SparedTraffic }
  | { op: 'api'; action: ApiActionName }
  | { op: 'images'; images: Record<string, unknown> };

export interface SupervisorInfo {
  phase: 'starting' | 'ready' | 'stopping';
  pid: number;
  info: LocalInfo;
  components: ComponentInfo[];
  relays: Record<string, number>;
}

export type ControlAnswer =
  | { progress: Progress }
  | { result: SupervisorInfo | NodeInfo | null }
  | { error: { code: LocalErrorCode; message: string; hint: string } };

type Handle = (
  request: ControlRequest,
  onProgress: (progress: Progress) => void,
) => Promise<SupervisorInfo | NodeInfo | null>;

export function serveControl(path: string, handle: Handle): Server {
  if (existsSync(path)) unlinkSync(path);
  const server = createServer((socket) => {
    const lines = new LineReader();
    const say = (answer: ControlAnswer): void => {
      if (socket.writable) socket.write(`${JSON.stringify(answer)}\n`);
    };
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      for (const line of lines.push(chunk)) {
        handle(JSON.parse(line) as ControlRequest, (progress) => say({ progress }))
          .then((result) => say({ result }))
          .catch((error) => say({ error: asAnswer(error) }));
      }
    });
  });
  server.listen(path, () => chmodSync(path, 0o600));
  return server;
}

export function asAnswer(error: unknown): { code: LocalErrorCode; message: string; hint: string } {
  if (isLocalError(error)) return { code: error.code, message: error.message, hint: error.hint };
  return {
    code: 'ComponentFailed',
    message: error instanceof Error ? error.message : String(error),
    hint: '',
  };
}

/**
 * Asks the supervisor. Resolves with undefined when none listens; `onProgress` hears what comes before the answer.
 * @throws LocalError as the supervisor says, or Timeout
 */
export async function askSupervisor<T extends SupervisorInfo | NodeInfo | null>(
  path: string,
  request: ControlRequest,
  options: { onProgress?: (progress: Progress) => void; timeoutMs?: number } = {},
): Promise<T | undefined> {
  if (!existsSync(path)) return undefined;
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => socket.write(`${JSON.stringify(request)}\n`));
    const lines = new LineReader();
    const timeoutMs = options.timeoutMs ?? 10_000;
    const timer = setTimeout(() => {
      socket.destroy();
      reject(
        new LocalError('Timeout', `the supervisor did not answer "${request.op}" within ${timeoutMs} ms`),
      );
    }, timeoutMs);
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      socket.destroy();
      act();
    };
    socket.once('error', () => settle(() => resolve(undefined)));
    socket.once('close', () => settle(() => resolve(undefined)));
    socket.on('data', (chunk) => {
      for (const line of lines.push(chunk)) {
        const answer = JSON.parse(line) as ControlAnswer;
        if ('progress' in answer) options.onProgress?.(answer.progress);
        else if ('error' in answer) {
          const { code, message, hint } = answer.error;
          settle(() => reject(new LocalError(code, message, hint)));
        } else settle(() => resolve(answer.result as T));
      }
    });
  });
}
