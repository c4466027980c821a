/** What the writer is told, in the variable PGHERD_WRITER as JSON. */
export interface WriterSettings {
  /**
   * Where the server is. Several hosts, with commas between: all are tried at once, and the first that is not in
   * recovery is written to.
   */
  host: string;
  port: number;
  /** The name to check in the server's certificate. */
  serverName: string;
  /** Empty: no TLS. */
  ca: string;
  user: string;
  password: string;
  database: string;
  /** The table it writes to; made when missing. */
  table: string;
  /** Milliseconds between two writes. */
  paceMs: number;
  /** Milliseconds after which a connection attempt or a write is given up, and the connection dropped. */
  timeoutMs: number;
  /** More than 0: so many writes are sent without waiting for the answers in between. */
  pipeline: number;
  /** Milliseconds between two attempts to connect; default: 5. */
  retryMs?: number;
}

export const SETTINGS_VARIABLE = 'PGHERD_WRITER';

/** What the writer prints, one JSON object a line. Times are milliseconds since 1970, with fractions. */
export type WriterLine =
  | { event: 'start'; at: number }
  /** Acknowledged writes as [id, time of the acknowledgement]. */
  | { event: 'acks'; acks: [number, number][] }
  /** A write or a connection failed; `id` is the write in question. */
  | { event: 'lost'; at: number; id: number; error: string }
  /** Commits that returned with warning 01000: they may be gone after a failover and are not acknowledged. */
  | { event: 'warned'; at: number; id: number; notice: string }
  | { event: 'end'; at: number; attempts: number };
