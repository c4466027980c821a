/** Log lines: JSON for machines in the pods, words for people here. */
import { StringDecoder } from 'node:string_decoder';

/** Cuts a stream of bytes into lines. */
export class LineSplitter {
  private readonly decoder = new StringDecoder('utf8');
  private rest = '';

  push(chunk: Buffer | string): string[] {
    this.rest += typeof chunk === 'string' ? chunk : this.decoder.write(chunk);
    const lines = this.rest.split('\n');
    this.rest = lines.pop() ?? '';
    return lines;
  }

  /** What was left without an end of line. */
  end(): string[] {
    return this.rest === '' ? [] : [this.rest];
  }
}

const PINO_LEVELS: Record<number, string> = {
  10: 'TRACE',
  20: 'DEBUG',
  30: 'INFO',
  40: 'WARN',
  50: 'ERROR',
  60: 'FATAL',
};

/** Fields that every line has and that say nothing new beside the name of the pod. */
const DULL = new Set([
  'level',
  'time',
  'ts',
  'msg',
  'message',
  'pid',
  'hostname',
  'name',
  'logger',
  'cluster',
  'instance',
  'namespace',
  'record',
]);

/** A JSON log line as `time LEVEL message field=value`; any other line as it is. */
export function readableLine(line: string): string {
  if (!line.startsWith('{')) return line;
  let entry: Record<string, unknown>;
  try {
    entry = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line;
  }
  const time = timeOf(entry.time ?? entry.ts);
  const level =
    typeof entry.level === 'number'
      ? (PINO_LEVELS[entry.level] ?? '')
      : String(entry.level ?? '').toUpperCase();
  const message = String(entry.msg ?? entry.message ?? '');
  const rest = Object.entries(entry)
    .filter(([key, value]) => !DULL.has(key) && value !== undefined && value !== '')
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return [time, level.padEnd(5), message, ...rest].filter((part) => part !== '').join(' ');
}

function timeOf(time: unknown): string {
  if (typeof time === 'string') return time.replace('T', ' ').replace('Z', '').slice(11, 23) || time;
  return typeof time === 'number' ? new Date(time).toISOString().slice(11, 23) : '';
}
