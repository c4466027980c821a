/** The events of one watch, one after the other. */
import type { IncomingMessage } from 'node:http';
import type { Json, Shown } from './table.ts';

export interface WatchedEvent {
  type: string;
  object: Shown & { code?: number; reason?: string; rows?: Json[] };
}

export interface EventStream {
  /** The next event; undefined once the watch has ended. Fails after the time given. */
  next(timeoutMs?: number): Promise<WatchedEvent | undefined>;
  /** The next event that is no bookmark. */
  change(timeoutMs?: number): Promise<WatchedEvent | undefined>;
  close(): void;
}

const TIMEOUT_MS = 15_000;

export function readEvents(answer: IncomingMessage): EventStream {
  const ready: WatchedEvent[] = [];
  let rest = '';
  let ended = false;
  let wake = (): void => {};
  answer.setEncoding('utf8');
  answer.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    ready.push(...lines.filter(Boolean).map((line) => JSON.parse(line) as WatchedEvent));
    wake();
  });
  answer.on('error', () => {});
  answer.on('close', () => {
    ended = true;
    wake();
  });

  async function next(timeoutMs = TIMEOUT_MS): Promise<WatchedEvent | undefined> {
    const end = performance.now() + timeoutMs;
    while (ready.length === 0 && !ended) {
      const left = end - performance.now();
      if (left <= 0) throw new Error(`no event within ${timeoutMs} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return ready.shift();
  }

  return {
    next,
    async change(timeoutMs) {
      for (;;) {
        const event = await next(timeoutMs);
        if (event?.type !== 'BOOKMARK') return event;
      }
    },
    close: () => answer.destroy(),
  };
}
