import type { Log } from '@pgherd/kube';
import pino from 'pino';

/** The logger of one component of local mode: JSON lines on standard output, which the supervisor puts in a file. */
export function componentLog(component: string): Log {
  return pino(
    {
      base: { component },
      level: process.env.PGHERD_LOG_LEVEL ?? 'info',
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    pino.destination({ fd: 1, sync: true }),
  );
}
