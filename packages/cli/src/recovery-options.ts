/** Options that say where a recovery ends, the same for every command that restores. */
import { parseTargetTime, type RecoveryTargetSpec } from '@pgherd/api';
import { type Command, Option } from 'commander';
import { CliError } from './errors.ts';
import { duration } from './options.ts';

export interface TargetOptions {
  pitrTarget?: string;
  targetLsn?: string;
  targetXid?: string;
  targetName?: string;
  targetImmediate?: boolean;
  targetTimeline?: string;
  exclusive?: boolean;
  backup?: string;
  repo?: string;
}

const TARGETS = ['pitrTarget', 'targetLsn', 'targetXid', 'targetName', 'targetImmediate'];

/** Adds them; at most one target may be given. */
export function withTarget(command: Command): Command {
  const target = (flags: string, description: string, name: string) =>
    new Option(flags, description).conflicts(TARGETS.filter((other) => other !== name));
  return command
    .addOption(
      target(
        '--pitr-target <time>',
        'the last moment whose commits are kept, such as 2026-11-28T10:30:00Z; without a zone it is UTC (default: the latest point)',
        'pitrTarget',
      ),
    )
    .addOption(target('--target-lsn <lsn>', 'the LSN up to which WAL is replayed', 'targetLsn'))
    .addOption(target('--target-xid <number>', 'the transaction with whose commit it ends', 'targetXid'))
    .addOption(target('--target-name <name>', 'the restore point at which it ends', 'targetName'))
    .addOption(target('--target-immediate', 'end as soon as the backup is consistent', 'targetImmediate'))
    .option('--target-timeline <timeline>', 'the timeline to follow: latest, current or a number')
    .option('--exclusive', 'end just before the target instead of just after it')
    .option('--backup <label>', 'the backup to begin with (default: the newest that ends before the target)')
    .option('--repo <name>', 'the repository to restore from (default: the first)');
}

/** The target as the API wants it; a time is checked and put into UTC. Throws CliError `usage`. */
export function targetOf(options: TargetOptions): RecoveryTargetSpec | undefined {
  const { pitrTarget, targetLsn, targetXid, targetName, targetImmediate, targetTimeline, exclusive, backup } =
    options;
  const target: RecoveryTargetSpec = {
    ...(pitrTarget ? { targetTime: timeOf(pitrTarget).text } : {}),
    ...(targetLsn ? { targetLSN: targetLsn } : {}),
    ...(targetXid ? { targetXID: targetXid } : {}),
    ...(targetName ? { targetName } : {}),
    ...(targetImmediate ? { targetImmediate } : {}),
    ...(targetTimeline ? { targetTLI: targetTimeline } : {}),
    ...(exclusive ? { exclusive } : {}),
    ...(backup ? { backupID: backup } : {}),
  };
  return Object.keys(target).length > 0 ? target : undefined;
}

function timeOf(text: string) {
  try {
    return parseTargetTime(text);
  } catch (error) {
    const { message, hint } = error as { message: string; hint: string };
    throw new CliError('usage', message, { hint, cause: error });
  }
}

/** What a time without a zone was taken for, to be told; undefined where one was given. */
export function assumedTime(options: TargetOptions): string | undefined {
  if (!options.pitrTarget) return undefined;
  const time = timeOf(options.pitrTarget);
  return time.assumedUtc
    ? `${options.pitrTarget} has no time zone and is taken for UTC: ${time.text}`
    : undefined;
}

/** `--deadline`, in milliseconds. */
export function deadlineOption(fallback: string): Option {
  return new Option('--deadline <time>', 'how long it may take before it fails')
    .argParser(duration)
    .default(duration(fallback), fallback);
}
