import type { Settings } from './settings.ts';

/** One message of the server, of all the lines it wrote for it. */
export interface LogRecord {
  time?: string;
  pid?: number;
  severity: string;
  sqlState?: string;
  user?: string;
  database?: string;
  application?: string;
  client?: string;
  message: string;
  detail?: string;
  hint?: string;
  context?: string;
  statement?: string;
}

// Control characters cannot occur in application names, and no sane role or database carries them.
const START = '\x1e';
const BETWEEN = '\x1f';

/**
 * Settings under which the log can be parsed. It goes to stderr, without the logging collector: one process
 * less that could survive the server, and it works in every version.
 */
export const logSettings: Settings = {
  log_destination: 'stderr',
  logging_collector: 'off',
  log_line_prefix: `${START}%m${BETWEEN}%p${BETWEEN}%e${BETWEEN}%u${BETWEEN}%d${BETWEEN}%a${BETWEEN}%r${BETWEEN}`,
};

const PARTS: Record<string, 'detail' | 'hint' | 'context' | 'statement'> = {
  DETAIL: 'detail',
  HINT: 'hint',
  CONTEXT: 'context',
  QUERY: 'context',
  LOCATION: 'context',
  STATEMENT: 'statement',
};

/** How long a message may wait for the lines that follow it. */
const FLUSH_MS = 20;

/** Puts the lines of the server's stderr together to messages. */
export class LogParser {
  readonly #emit: (record: LogRecord) => void;
  #record: LogRecord | undefined;
  #part: 'message' | 'detail' | 'hint' | 'context' | 'statement' = 'message';
  #timer: NodeJS.Timeout | undefined;

  constructor(emit: (record: LogRecord) => void) {
    this.#emit = emit;
  }

  /** Takes the next line. */
  line(line: string): void {
    if (!line.startsWith(START)) this.#continue(line);
    else this.#begin(line.slice(1).split(BETWEEN));
    this.#timer ??= setTimeout(() => this.flush(), FLUSH_MS).unref();
  }

  /** Gives out what is there. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#record) this.#emit(this.#record);
    this.#record = undefined;
  }

  #begin(fields: string[]): void {
    const [time, pid, sqlState, user, database, application, client, ...rest] = fields;
    const match = /^([A-Z]+\d?):\s+(.*)$/s.exec(rest.join(BETWEEN));
    const severity = match?.[1] ?? 'LOG';
    const text = match?.[2] ?? rest.join(BETWEEN);
    const part = PARTS[severity];
    if (part && this.#record && this.#record.pid === Number(pid)) {
      this.#record[part] = this.#record[part] === undefined ? text : `${this.#record[part]}\n${text}`;
      this.#part = part;
      return;
    }
    this.flush();
    this.#part = 'message';
    this.#record = { time: isoTime(time), pid: Number(pid), severity, message: text };
    if (sqlState && sqlState !== '00000') this.#record.sqlState = sqlState;
    if (user && user !== '[unknown]') this.#record.user = user;
    if (database && database !== '[unknown]') this.#record.database = database;
    if (application && application !== '[unknown]') this.#record.application = application;
    if (client) this.#record.client = client;
  }

  /** PostgreSQL indents further lines of a message by a tab; anything else stands alone. */
  #continue(line: string): void {
    if (line.startsWith('\t') && this.#record) {
      this.#record[this.#part] = `${this.#record[this.#part]}\n${line.slice(1)}`;
      return;
    }
    this.flush();
    // Before the settings are read, lines come without our prefix.
    const match = /(LOG|FATAL|PANIC|ERROR|WARNING|HINT|DETAIL):\s+(.*)$/.exec(line);
    this.#part = 'message';
    this.#record = { severity: match?.[1] ?? 'LOG', message: match?.[2] ?? line };
  }
}

/** A line as a person reads it, without the marks of our prefix. */
export function plainLine(line: string): string {
  return line.startsWith(START) ? line.split(BETWEEN).slice(7).join(' ') || line : line;
}

function isoTime(text: string | undefined): string | undefined {
  if (!text) return undefined;
  const match = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d+) (?:UTC|GMT)$/.exec(text);
  return match ? `${match[1]}T${match[2]}Z` : text;
}
