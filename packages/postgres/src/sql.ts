import pg from 'pg';
import { PostgresError } from './errors.ts';

// Bigints and timestamps stay text: nothing here computes with JavaScript numbers or dates.
export interface SessionOptions {
  /** Folder of the Unix socket, or a host name or address. */
  host: string;
  port: number;
  user: string;
  database: string;
  applicationName?: string;
  /** Settings of the session, given at connect time. */
  settings?: Record<string, string>;
  connectTimeoutMs?: number;
  /** Default bound of one query. */
  queryTimeoutMs?: number;
  password?: string;
  /**
   * Counts as a WAL sender (max_wal_senders), which are none of the connections that clients can use up; takes no
   * queries with parameters, and needs a role that may replicate.
   */
  asWalSender?: boolean;
  tls?: { ca: string; cert?: string; key?: string; servername: string };
}

const GOODBYE_MS = 50;

export type Row = Record<string, unknown>;

/** One connection. Queries run one after the other; a query past its bound ends the connection. */
export interface Session {
  readonly closed: boolean;
  query<T extends Row = Row>(text: string, values?: unknown[], timeoutMs?: number): Promise<T[]>;
  close(): void;
}

/** Opens a connection; throws PostgresError `SqlUnreachable`. */
export async function openSession(o: SessionOptions): Promise<Session> {
  const client = new pg.Client({
    host: o.host,
    port: o.port,
    user: o.user,
    database: o.database,
    ...(o.password === undefined ? {} : { password: o.password }),
    ...(o.asWalSender ? { replication: 'database' } : {}),
    application_name: o.applicationName ?? 'pgherd',
    connectionTimeoutMillis: o.connectTimeoutMs ?? 1000,
    ssl: o.tls ? { ...o.tls, rejectUnauthorized: true } : false,
    options: Object.entries(o.settings ?? {})
      .map(([name, value]) => `-c ${name}=${value.replace(/([\\ ])/g, '\\$1')}`)
      .join(' '),
  });
  const state = { closed: false };
  const close = () => {
    if (state.closed) return;
    state.closed = true;
    // Not client.end(): it waits for a server that may be stopped, hung or gone. But one that is well is told,
    // or it would log a connection that broke.
    const connection = connectionOf(client);
    connection.end();
    setTimeout(() => connection.stream.destroy(), GOODBYE_MS).unref();
  };
  client.on('error', close);
  client.on('end', () => {
    state.closed = true;
  });
  try {
    await client.connect();
  } catch (cause) {
    close();
    throw new PostgresError(
      'SqlUnreachable',
      `connecting to ${o.host}:${o.port} as ${o.user}: ${(cause as Error).message}`,
      {
        cause,
        sqlState: sqlStateOf(cause),
      },
    );
  }
  return {
    get closed() {
      return state.closed;
    },
    query: <T extends Row>(text: string, values: unknown[] = [], timeoutMs = o.queryTimeoutMs ?? 5000) =>
      runQuery<T>(client, close, text, values, timeoutMs),
    close,
  };
}

function sqlStateOf(error: unknown): string | undefined {
  const { code, severity } = error as { code?: string; severity?: string };
  return severity !== undefined && code !== undefined && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

interface Destroyable {
  end(): void;
  stream: { destroy(): void };
}

function connectionOf(client: pg.Client): Destroyable {
  return (client as unknown as { connection: Destroyable }).connection;
}

async function runQuery<T extends Row>(
  client: pg.Client,
  close: () => void,
  text: string,
  values: unknown[],
  timeoutMs: number,
): Promise<T[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      close();
      reject(new PostgresError('SqlTimeout', `running "${brief(text)}": no answer within ${timeoutMs} ms`));
    }, timeoutMs);
  });
  const running = values.length > 0 ? client.query(text, values) : client.query(text);
  running.catch(() => undefined);
  try {
    const result = await Promise.race([running, late]);
    // A text of several statements answers with an array of results: the last one counts.
    const last = (Array.isArray(result) ? result.at(-1) : result) as pg.QueryResult<T>;
    return last?.rows ?? [];
  } catch (cause) {
    if (cause instanceof PostgresError) throw cause;
    const sqlState = sqlStateOf(cause);
    throw new PostgresError(
      sqlState === undefined ? 'SqlUnreachable' : 'SqlFailed',
      `running "${brief(text)}": ${(cause as Error).message}`,
      { cause, sqlState },
    );
  } finally {
    clearTimeout(timer);
  }
}

function brief(text: string): string {
  const line = text
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/(password\s+)'(?:[^']|'')*'/gi, "$1'...'");
  return line.length > 120 ? `${line.slice(0, 117)}...` : line;
}

/** An identifier in quotes. */
export function quoteIdent(name: string): string {
  return `"${name.replace(/"/g, '""')}"`;
}

/** A string literal in quotes, safe whatever standard_conforming_strings says. */
export function quoteLiteral(value: string): string {
  const quoted = value.replace(/'/g, "''");
  return quoted.includes('\\') ? ` E'${quoted.replace(/\\/g, '\\\\')}'` : `'${quoted}'`;
}
