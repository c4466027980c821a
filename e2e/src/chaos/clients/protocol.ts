/** Between the process of the clients and the one that watches them: one JSON object a line. */
import type { Ack, Read } from '../history.ts';

export const SETTINGS_VARIABLE = 'PGHERD_CHAOS_CLIENTS';

export interface ClientSettings {
  /** The address of -rw. */
  host: string;
  port: number;
  serverName: string;
  ca: string;
  user: string;
  password: string;
  database: string;
  /** Clients that write through -rw; each has a table of its name. */
  writers: { name: string; paceMs: number; pipeline: number }[];
  readers: number;
  /** The table of the clients that are bound to instances. */
  bound: string;
}

/** Told to the clients: where the instances are now. */
export interface Addresses {
  addresses: string[];
}

/** Told by the clients. */
export type ClientLine =
  | { event: 'ready' }
  | { event: 'batch'; acks: Ack[]; reads: Read[]; warned: number; errors: Record<string, number> };
