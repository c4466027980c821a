/** What a field means when the user leaves it out. Computed when read, never written into the user's spec. */
import { DEFAULT_POSTGRES_IMAGE } from '../names.ts';

export const DEFAULTS = {
  instances: 3,
  imageName: DEFAULT_POSTGRES_IMAGE,
  database: 'app',
  encoding: 'UTF8',
  locale: 'C',
  walSegmentSize: 16,
  /** Seconds. */
  primaryLease: { renewInterval: 2, stopAfter: 6, guardAfter: 8, takeAfter: 10 },
  /** Seconds, all of the following. */
  failoverDelay: 0,
  primaryStartTimeout: 60,
  startDelay: 3600,
  stopDelay: 1800,
  smartShutdownTimeout: 0,
  switchoverDelay: 60,
  backupTarget: 'prefer-standby',
  compression: 'zst',
  /** Processes of pgBackRest. */
  parallelism: 2,
  topologyKey: 'kubernetes.io/hostname',
  logLevel: 'info',
} as const;
