/** Remembers what the repositories of clusters hold, and asks again now and then: the answer takes a while. */
import { isDeepStrictEqual } from 'node:util';
import { type BackupInfo, MANAGER_PORT } from '@pgherd/api';
import type { Log } from '@pgherd/kube';
import { type ConnectionTo, call, createConnections, describeSilence } from './connections.ts';

export interface InfoQuestion extends ConnectionTo {
  /** Of the instance that is asked. */
  address: string;
  stanza: string;
}

export interface BackupInfos {
  /** What was heard last; asks anew, without waiting, when that is a minute old. */
  ask(question: InfoQuestion): BackupInfo | undefined;
  known(cluster: string): BackupInfo | undefined;
  /** What was heard last is from before the last change. */
  isStale(cluster: string): boolean;
  /** Something has changed: the next question is asked for real. */
  changed(cluster: string): void;
  /** Names of Backups that have not ended. */
  open(cluster: string): readonly string[];
  setOpen(cluster: string, names: readonly string[]): void;
  /** A backup has failed (RFC 3339). */
  failed(cluster: string, at: string): void;
  lastFailed(cluster: string): string | undefined;
  forget(cluster: string): void;
}

const FRESH_MS = 60_000;
/** After a failure, or while there is nothing yet. */
const AGAIN_MS = 10_000;
const TIMEOUT_MS = 65_000;

interface Known {
  info?: BackupInfo;
  failed?: string;
  notBefore: number;
  asking: boolean;
  open: readonly string[];
  changes: number;
  /** How many changes `info` knows of. */
  seen: number;
}

export function createBackupInfos(o: {
  log: Log;
  onNews: (cluster: string) => void;
  now?: () => number;
  port?: number;
}): BackupInfos {
  const { log, onNews, now = Date.now, port = MANAGER_PORT } = o;
  const connections = createConnections(now);
  const all = new Map<string, Known>();
  const of = (cluster: string): Known => {
    const known = all.get(cluster) ?? { notBefore: 0, asking: false, open: [], changes: 0, seen: 0 };
    all.set(cluster, known);
    return known;
  };

  async function refresh(question: InfoQuestion, known: Known): Promise<void> {
    known.asking = true;
    known.notBefore = now() + FRESH_MS;
    const { changes } = known;
    try {
      const path = `/backrest/info?stanza=${encodeURIComponent(question.stanza)}`;
      const agent = await connections.agent(question);
      const { status, body } = await call({
        agent,
        address: question.address,
        port,
        path,
        timeoutMs: TIMEOUT_MS,
      });
      const { info, error } = body as { info?: BackupInfo; error?: string };
      if (status !== 200) throw new Error(error ?? `it answers with status ${status}`);
      const news = !isDeepStrictEqual(info, known.info);
      if (info) known.info = info;
      known.seen = changes;
      if (!info || info.backups.length === 0) known.notBefore = Math.min(known.notBefore, now() + AGAIN_MS);
      if (news) onNews(question.cluster);
    } catch (error) {
      known.notBefore = now() + AGAIN_MS;
      log.debug(
        { cluster: question.cluster, error: describeSilence(error) },
        'the repositories were not asked',
      );
    } finally {
      known.asking = false;
    }
  }

  return {
    ask(question) {
      const known = of(question.cluster);
      if (!known.asking && now() >= known.notBefore) refresh(question, known);
      return known.info;
    },
    known: (cluster) => all.get(cluster)?.info,
    isStale(cluster) {
      const { seen, changes } = of(cluster);
      return seen < changes;
    },
    changed(cluster) {
      const known = of(cluster);
      known.notBefore = 0;
      known.changes += 1;
    },
    open: (cluster) => all.get(cluster)?.open ?? [],
    setOpen(cluster, names) {
      of(cluster).open = names;
    },
    failed(cluster, at) {
      of(cluster).failed = at;
    },
    lastFailed: (cluster) => all.get(cluster)?.failed,
    forget(cluster) {
      all.delete(cluster);
      connections.forget(cluster);
    },
  };
}
