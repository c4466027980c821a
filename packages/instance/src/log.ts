/** The log of the container: JSON lines on stdout, the manager's and PostgreSQL's. */
import type { EffectiveSpec } from '@pgherd/api';
import type { Log } from '@pgherd/kube';
import type { LogRecord } from '@pgherd/postgres';
import { pino } from 'pino';

export interface ContainerLog {
  manager: Log;
  /** Takes a message of PostgreSQL. */
  postgres(record: LogRecord): void;
  /** Sets what the manager says of itself; PostgreSQL's own messages are chosen by its own settings. */
  level(level: EffectiveSpec['logLevel']): void;
}

const LEVELS: Record<string, 'debug' | 'info' | 'warn' | 'error' | 'fatal'> = {
  WARNING: 'warn',
  ERROR: 'error',
  FATAL: 'error',
  PANIC: 'fatal',
};

/** Opens the log; `instance` stands in every line, so that lines of several pods can be told apart. */
export function openLog(instance: string): ContainerLog {
  const base = pino({
    level: 'info',
    base: { instance },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (level) => ({ level }) },
  });
  const manager = base.child({ logger: 'manager' });
  const postgres = base.child({ logger: 'postgres' }, { level: 'trace' });
  return {
    manager: manager as unknown as Log,
    postgres(record) {
      const { message, time, ...rest } = record;
      const level = LEVELS[record.severity] ?? (record.severity.startsWith('DEBUG') ? 'debug' : 'info');
      postgres[level]({ ...rest, ...(time ? { at: time } : {}) }, message);
    },
    level(level) {
      manager.level = level === 'warning' ? 'warn' : level;
    },
  };
}
