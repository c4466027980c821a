/** What goes to a terminal, a pipe or a file: columns, colours, progress. */
import { stripVTControlCharacters, styleText } from 'node:util';

export type Format = 'text' | 'json' | 'yaml' | 'name';
type Style = Parameters<typeof styleText>[0];

/** Whether this stream takes colours: a terminal that was not asked to be plain. */
function coloured(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}

/** `text` in a style, where the terminal shows styles. */
export function paint(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return coloured(stream) ? styleText(style, text, { validateStream: false }) : text;
}

/** Writes one line to standard output. */
export function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

/** Writes one line to standard error: remarks, which must not end up in a file someone makes of the output. */
export function remark(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Prints a value as JSON, as `-o json` means it. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** The width of the terminal in columns; 80 where there is none. */
export function width(): number {
  return process.stdout.columns ?? 80;
}

/**
 * Rows in columns, two spaces apart, without blanks at the ends of lines. A column that is empty in every row is
 * left out, since a table of 80 columns has no room for nothing.
 */
export function table(header: string[], rows: string[][]): string[] {
  const used = header.map((_, column) => rows.some((row) => (row[column] ?? '') !== ''));
  const all = [header, ...rows].map((row) => row.filter((_, column) => used[column]));
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => visibleLength(row[column] ?? ''))));
  return all.map((row) =>
    row
      .map((cell, i) => pad(cell, widths?.[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

function visibleLength(text: string): number {
  return stripVTControlCharacters(text).length;
}

function pad(text: string, to: number): string {
  return text + ' '.repeat(Math.max(0, to - visibleLength(text)));
}

/** Breaks a sentence at blanks so that no line is longer than the terminal is wide. */
export function wrap(text: string, indent = '', columns: number = Math.min(width(), 100)): string {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(/\s+/)) {
    if (line.trim() !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = indent;
    }
    line += line.trim() === '' ? word : ` ${word}`;
  }
  return [...lines, line].join('\n');
}

/** A time span as people say it: `0.41 s`, `12 s`, `3m 5s`, `2d 4h`. */
export function span(ms: number): string {
  if (!Number.isFinite(ms)) return 'unknown';
  if (ms < 0) return `-${span(-ms)}`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(2)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes}m ${seconds % 60}s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours}h ${minutes % 60}m` : `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

/** How long ago an RFC 3339 time is, in the short form of kubectl (`42s`, `5m`, `3h`, `2d`). */
export function age(since: string | undefined, now: number = Date.now()): string {
  const seconds = Math.max(0, Math.round((now - Date.parse(since ?? '')) / 1000));
  if (Number.isNaN(seconds)) return '-';
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`;
}

/** Bytes as people say them, in powers of 1024. */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = count;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Progress of something that takes longer than a second. */
export interface Progress {
  /** What is being done or waited for just now. */
  update(text: string): void;
  /** Ends the line with success. */
  done(text: string): void;
  /** Ends the line without it. */
  fail(text: string): void;
}

/**
 * Progress on standard error. A terminal gets one line that changes, with the seconds gone by; anything else gets a
 * line whenever the text changes; where only the figures of `howFar` do, every few seconds.
 */
export function startProgress(first: string, stream: NodeJS.WriteStream = process.stderr): Progress {
  return stream.isTTY ? liveProgress(first, stream) : plainProgress(first, stream);
}

const FIGURES = /[\d.]+( \S+)? of .*/;
const FIGURES_EVERY_MS = 5_000;

/** `clock`: milliseconds that only rise. */
export function plainProgress(
  first: string,
  stream: { write(text: string): unknown },
  clock = () => performance.now(),
): Progress {
  let last = '';
  let writtenAt = Number.NEGATIVE_INFINITY;
  const write = (text: string) => {
    if (text === last) return;
    stream.write(`${text}\n`);
    last = text;
    writtenAt = clock();
  };
  const update = (text: string) => {
    const sameStep = FIGURES.test(text) && text.replace(FIGURES, '') === last.replace(FIGURES, '');
    if (!sameStep || clock() - writtenAt >= FIGURES_EVERY_MS) write(text);
  };
  write(first);
  return { update, done: write, fail: write };
}

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

function liveProgress(first: string, stream: NodeJS.WriteStream): Progress {
  let text = first;
  let frame = 0;
  const started = performance.now();
  const draw = () => {
    const gone = `${((performance.now() - started) / 1000).toFixed(0)} s`;
    const room = (stream.columns ?? 80) - gone.length - 5;
    const shown = text.length > room ? `${text.slice(0, Math.max(0, room - 1))}…` : text;
    const glyph = FRAMES[frame++ % FRAMES.length] ?? '';
    stream.write(`\r\x1b[2K${paint('cyan', glyph, stream)} ${shown} ${paint('dim', gone, stream)}`);
  };
  const timer = setInterval(draw, 120);
  timer.unref();
  draw();
  const end = (mark: string, last: string) => {
    clearInterval(timer);
    stream.write(`\r\x1b[2K${mark} ${last}\n`);
  };
  return {
    update: (next) => {
      text = next;
    },
    done: (last) => end(paint('green', '✓', stream), last),
    fail: (last) => end(paint('red', '✗', stream), last),
  };
}
