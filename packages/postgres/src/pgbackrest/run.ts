/** Runs pgBackRest and makes its errors ours. */
import type { ChildProcess } from 'node:child_process';
import { PostgresError } from '../errors.ts';
import { runTool } from '../tool.ts';
import { type BackrestOptions, optionArgs } from './options.ts';
import { storeRemedy, storeWords } from './store-words.ts';

export interface BackrestCommand {
  /** Path of the configuration. */
  config: string;
  /** What is being done, for the error message. */
  doing: string;
  stanza?: string;
  /** Further options, on top of the configuration. */
  options?: BackrestOptions;
  /** What comes after the command's name. */
  args?: string[];
  timeoutMs?: number;
  signal?: AbortSignal;
  onLine?: (line: string) => void;
  onStart?: (child: ChildProcess) => void;
}

/** Numbers of pgBackRest's errors that callers tell apart. */
export const BACKREST_ERRORS = {
  lockHeld: 50,
  archiveTimeout: 82,
  backupSetInvalid: 75,
  fileMissing: 55,
  noPrimary: 56,
  stop: 62,
} as const;

/** Those about what lies in the repository: checksum, format, content, missing file, cipher. */
export const BROKEN_CONTENT: readonly number[] = [26, 28, 29, 44, 51, 55, 75, 95];

/** How pgBackRest puts it when one of its processes, or the server that it talks to, has ended in the middle. */
const BROKEN_OFF =
  /but expected 'idle'|NULL result required|unexpected eof|Broken pipe|terminated unexpectedly/i;
const ENDED = 'a process that takes part has ended: PostgreSQL or pgBackRest was stopped or killed';

/**
 * Runs a command of pgBackRest to its end and returns its stdout. Its warnings and errors come by `onLine` too.
 * Throws PostgresError `BackrestFailed` with its own words and number, `ToolTimeout`, `Cancelled` or
 * `BinariesMissing`.
 */
export async function runBackrest(command: string, o: BackrestCommand): Promise<string> {
  const args = [
    `--config=${o.config}`,
    ...(o.stanza === undefined ? [] : [`--stanza=${o.stanza}`]),
    '--log-level-console=off',
    '--log-level-file=off',
    ...optionArgs({ 'log-level-stderr': 'info', ...o.options }),
    command,
    ...(o.args ?? []),
  ];
  try {
    return await runTool('pgbackrest', args, {
      bin: undefined,
      doing: o.doing,
      // The first line is the whole command; what goes on is no reason.
      isNoise: (line) => / command begin | INFO: |^INFO: |DETAIL: /.test(line),
      ...(o.timeoutMs === undefined ? {} : { timeoutMs: o.timeoutMs }),
      ...(o.signal ? { signal: o.signal } : {}),
      ...(o.onLine ? { onLine: o.onLine } : {}),
      ...(o.onStart ? { onStart: o.onStart } : {}),
    });
  } catch (error) {
    if (!(error instanceof PostgresError) || error.code !== 'ToolFailed') throw error;
    const failure = parseBackrestError(error.output);
    if (!failure) throw CRASHED.test(error.message) ? crashed(error) : error;
    throw new PostgresError('BackrestFailed', `${o.doing}: ${failure.text}`, {
      ...(BROKEN_OFF.test(error.output.join('\n')) ? { hint: ENDED } : {}),
      output: error.output,
      backrestError: failure.number,
      cause: error,
    });
  }
}

/** So ends 2.45, without a word, where it lists what it cannot decrypt. */
const CRASHED = /was killed \(SIG(SEGV|ABRT)\)/;

function crashed(error: PostgresError): PostgresError {
  const why = 'what it read was perhaps written with another passphrase, or is damaged';
  return new PostgresError('ToolFailed', `${error.message}: ${why}`, { output: error.output, cause: error });
}

/** Why a server was not looked at; pgBackRest then says of all of them that none is a primary. */
const UNCHECKED = /WARN: unable to check pg\d+: (.*)$/;

export interface BackrestFailure {
  /** pgBackRest's number of the error. */
  number: number;
  /** Its own words, with its hints, in one line: `[056]: unable to ... (HINT: ...)`. */
  text: string;
}

/** The error among the lines that pgBackRest printed; undefined without one. The last one is what ended it. */
export function parseBackrestError(lines: readonly string[]): BackrestFailure | undefined {
  const start = lines.findLastIndex((line) => /\bERROR: \[\d{3}\]/.test(line));
  const match = /\bERROR: (\[(\d{3})\]: ?.*)$/.exec(lines[start] ?? '');
  if (!match) return undefined;
  const more: string[] = [];
  for (const line of lines.slice(start + 1)) {
    // Continued lines are indented; the next record begins with a time, or with its level.
    if (!/^\s/.test(line)) break;
    more.push(line.trim());
  }
  const report = [lines[start]!, ...lines.slice(start + 1, start + 1 + more.length)];
  const remedy = storeRemedy(report);
  const words = storeWords(report);
  if (words) return { number: Number(match[2]), text: `[${match[2]}]: ${words}${hint(remedy)}` };
  const unchecked = lines.slice(0, start).flatMap((line) => UNCHECKED.exec(line)?.slice(1) ?? []);
  if (Number(match[2]) === BACKREST_ERRORS.noPrimary && unchecked.length > 0)
    return { number: BACKREST_ERRORS.noPrimary, text: `${match[1]!.trim()}: ${unchecked.join('; ')}` };
  const hints = [...more.filter((line) => line.startsWith('HINT:')), ...(remedy ? [`HINT: ${remedy}`] : [])];
  const rest = more.filter((line) => line !== '' && !line.startsWith('HINT:') && !line.startsWith('['));
  const said = [match[1]!.trim(), ...rest].join(' ');
  return { number: Number(match[2]), text: hints.length > 0 ? `${said} (${hints.join(' ')})` : said };
}

const hint = (text: string | undefined): string => (text ? ` (HINT: ${text})` : '');
