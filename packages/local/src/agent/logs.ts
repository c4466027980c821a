import { createReadStream, existsSync, readdirSync, statSync, watch } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { isTrue } from '../query.ts';
import { LineReader } from '../shim/protocol.ts';

export interface LogOptions {
  follow: boolean;
  previous: boolean;
  timestamps: boolean;
  tailLines?: number;
  sinceMs?: number;
  limitBytes?: number;
}

/** The options of `GET .../log`. */
export function logOptions(query: URLSearchParams, now: number): LogOptions {
  const number = (name: string): number | undefined =>
    query.has(name) ? Number(query.get(name)) : undefined;
  const flag = (name: string): boolean => isTrue(query.get(name));
  const sinceSeconds = number('sinceSeconds');
  const sinceTime = query.get('sinceTime');
  return {
    follow: flag('follow'),
    previous: flag('previous'),
    timestamps: flag('timestamps'),
    tailLines: number('tailLines'),
    sinceMs:
      sinceSeconds !== undefined ? now - sinceSeconds * 1000 : sinceTime ? Date.parse(sinceTime) : undefined,
    limitBytes: number('limitBytes'),
  };
}

/** The log file of the last run of a container, or of the one before; undefined when there is none. */
export function logFile(dir: string, previous: boolean): string | undefined {
  if (!existsSync(dir)) return undefined;
  const attempts = readdirSync(dir)
    .filter((name) => /^\d+\.log$/.test(name))
    .map((name) => Number.parseInt(name, 10))
    .sort((a, b) => a - b);
  const attempt = attempts.at(previous ? -2 : -1);
  return attempt === undefined ? undefined : join(dir, `${attempt}.log`);
}

/** One line of a log file, cut: its time, whether it is whole, and what was said. */
function parseLine(line: string): { time: string; whole: boolean; text: string } | undefined {
  const match = /^(\S+) (?:stdout|stderr) ([FP]) ?(.*)$/s.exec(line);
  return match ? { time: match[1]!, whole: match[2] === 'F', text: match[3]! } : undefined;
}

/** Sends a log as the API's clients expect it. Ends with the container when it follows. */
export async function sendLog(
  response: ServerResponse,
  file: string,
  options: LogOptions,
  running: () => boolean,
): Promise<void> {
  const out = new Sender(response, options);
  let position = await readFrom(file, 0, (line) => out.take(line));
  out.endOfPast();
  if (!options.follow) return;
  const changed = watchFile(file);
  response.once('close', () => changed.stop());
  for (;;) {
    if (response.destroyed || response.writableEnded) return changed.stop();
    const more = running();
    const size = existsSync(file) ? statSync(file).size : position;
    if (size < position) position = 0;
    if (size > position) position = await readFrom(file, position, (line) => out.take(line));
    else if (!more) return changed.stop();
    else await changed.next();
  }
}

/** Reads whole lines from a position on; returns where the next ones begin. */
async function readFrom(file: string, start: number, take: (line: string) => void): Promise<number> {
  const lines = new LineReader();
  let read = start;
  for await (const chunk of createReadStream(file, { start })) {
    read += (chunk as Buffer).length;
    for (const line of lines.push(chunk as Buffer)) take(line);
  }
  return read - lines.rest.length;
}

/** Wakes on changes of a file, and once a second for what went unnoticed. */
function watchFile(file: string): { next(): Promise<void>; stop(): void } {
  let wake = (): void => {};
  const watcher = watch(file, () => wake());
  watcher.on('error', () => {});
  const timer = setInterval(() => wake(), 1000);
  return {
    next: () =>
      new Promise((resolve) => {
        wake = resolve;
      }),
    stop: () => {
      watcher.close();
      clearInterval(timer);
      wake();
    },
  };
}

class Sender {
  private readonly response: ServerResponse;
  private readonly options: LogOptions;
  private held: string[] | undefined;
  private left: number;
  private midLine = false;

  constructor(response: ServerResponse, options: LogOptions) {
    this.response = response;
    this.options = options;
    this.held = options.tailLines === undefined ? undefined : [];
    this.left = options.limitBytes ?? Number.POSITIVE_INFINITY;
  }

  take(line: string): void {
    const parsed = parseLine(line);
    if (!parsed) return;
    if (this.options.sinceMs !== undefined && Date.parse(parsed.time) < this.options.sinceMs) return;
    const stamp = this.options.timestamps && !this.midLine ? `${parsed.time} ` : '';
    this.midLine = !parsed.whole;
    this.put(`${stamp}${parsed.text}${parsed.whole ? '\n' : ''}`);
  }

  /** What was there is read: of it, only the last lines go out, if so asked. */
  endOfPast(): void {
    const held = this.held;
    this.held = undefined;
    for (const text of held ?? []) this.write(text);
  }

  private put(text: string): void {
    if (!this.held) {
      this.write(text);
      return;
    }
    if (this.options.tailLines === 0) return;
    this.held.push(text);
    if (this.held.length > this.options.tailLines!) this.held.shift();
  }

  private write(text: string): void {
    if (this.left <= 0) return;
    const bytes = Buffer.from(text).subarray(0, Math.min(this.left, Buffer.byteLength(text)));
    this.left -= bytes.length;
    this.response.write(bytes);
  }
}
