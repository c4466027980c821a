/** What an instance is to restore, with everything that it needs to know: the operator makes it, the instance reads it. */
import type { EffectiveRepository } from '../cluster/effective-backup.ts';
import type { RecoveryTargetSpec } from './fields.ts';

/** From a backup repository. */
export interface RepositorySource {
  from: 'repository';
  /** Whose backups. */
  cluster: string;
  systemID?: string;
  stanza?: string;
  repository: EffectiveRepository;
  /** Its number: the pgBackRest that serves it must know it by the same. */
  number: number;
  /** A volume whose cluster is gone: this claim is mounted into our own repository pod, to be read from there. */
  claim?: string;
  target?: RecoveryTargetSpec;
  /** The archive holds everything up to here (RFC 3339), whatever the listing of its files says. */
  completeUntil?: string;
  /**
   * A target time is reached only if a later commit proves it: what the archive lacks before it lies in the volumes
   * that this restore would take away.
   */
  needsProof?: boolean;
  /** A backup of that label, chosen beforehand, on that timeline; the instance chooses itself where it is missing. */
  chosen?: { backup: string; timeline: number };
  /** Tries before it gives up. */
  attempts?: number;
}

/** From the running instances of another cluster. */
export interface LiveSource {
  from: 'cluster';
  cluster: string;
}

export type RecoverySource = RepositorySource | LiveSource;

/** Reads what the status or a mark holds; undefined when it is none. */
export function readRecoverySource(text: string | undefined): RecoverySource | undefined {
  try {
    const source = JSON.parse(text ?? '') as RecoverySource | null;
    return source && (source.from === 'repository' || source.from === 'cluster') ? source : undefined;
  } catch {
    return undefined;
  }
}

/** A target in words. */
export function describeTarget(target: RecoveryTargetSpec = {}): string {
  const { targetTime, targetLSN, targetXID, targetName, targetImmediate } = target;
  if (targetTime) return `the time ${targetTime}`;
  if (targetLSN) return `LSN ${targetLSN}`;
  if (targetXID) return `transaction ${targetXID}`;
  if (targetName) return `the restore point "${targetName}"`;
  return targetImmediate ? 'the end of the backup' : 'the latest point';
}

/** POST /recovery/choose, at a pod that reaches the repository: whether a target can be reached, and how. */
export type RecoveryChoice =
  | {
      ok: true;
      chosen: { backup: string; timeline: number };
      window: RecoverableWindow;
    }
  | { ok: false; why: string; window: RecoverableWindow };

/** Milliseconds since 1970. */
export interface RecoverableWindow {
  firstMs?: number;
  lastMs?: number;
}

/** What is asked there. */
export interface ChooseRequest {
  source: RepositorySource;
  /** The archive will be complete up to here before the recovery begins, milliseconds since 1970. */
  completeUntilMs?: number;
}

/** The variable of the pod that verifies a backup: a VerifyRequest as JSON. */
export const VERIFY_REQUEST = 'PGHERD_VERIFY';

/** What that pod is to do. */
export interface VerifyRequest {
  id: string;
  source: RepositorySource;
  /** The Cluster whose backup it is: what its PostgreSQL is configured by. */
  cluster: { metadata: { name: string; namespace: string }; spec: unknown };
  /** Of the tables whose rows are counted: DATABASE.SCHEMA.TABLE, or less. */
  tables: string[];
}

/** GET /backrest/verify at that pod. */
export interface VerifyAnswer {
  phase: 'running' | 'done' | 'failed';
  doing: string;
  progress?: { done: number; total: number; unit: string };
  error?: string;
  /** It failed only because a table that was to be counted is not there. */
  lacksTable?: boolean;
  /** What was found, in words, by what was looked at. */
  found: Record<string, string>;
}
