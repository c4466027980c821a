/** What volumes without room say about the phase. Pure. */
import type { VolumeUsage } from '@pgherd/api';
import type { PersistentVolumeClaim } from '@pgherd/kube';
import type { Facts } from '../facts.ts';
import { isTerminating } from '../facts.ts';
import type { Outcome, Verdict } from './phase.ts';

/** A full volume comes before whatever follows from it: PostgreSQL that stops, replicas that fall behind. */
export function volumesFull({ facts }: Outcome): Verdict | undefined {
  const full = volumeTrouble(facts, 'full');
  if (full.length === 0) return undefined;
  const reason = `${full.join('; ')}. Make space or make the volume larger (spec.storage, spec.walStorage): it goes on by itself`;
  return { phase: 'Degraded', reason };
}

/** A volume that takes no writes: PostgreSQL may still answer from memory, and looks well. */
export function volumesHung({ facts }: Outcome): Verdict | undefined {
  const hung = volumesThat(
    facts,
    ({ hung }) => hung === true,
    ({ name }) => `volume ${name} takes no writes`,
  );
  return hung.length > 0 ? { phase: 'Degraded', reason: hung.join('; ') } : undefined;
}

/** All goes well yet. */
export function volumesLow({ facts }: Outcome): Verdict | undefined {
  const low = volumeTrouble(facts, 'low');
  return low.length > 0 ? { phase: 'Degraded', reason: low.join('; ') } : undefined;
}

/** Each volume that is at this level, with whose it is and how full; empty where none is. */
function volumeTrouble(facts: Facts, level: 'low' | 'full'): string[] {
  return volumesThat(facts, (volume) => volume.level === level, volumeText);
}

function volumesThat(
  facts: Facts,
  fit: (volume: VolumeUsage) => boolean,
  say: (volume: VolumeUsage) => string,
): string[] {
  return facts.instances.flatMap(({ name, pod, report }) =>
    pod && !isTerminating(pod)
      ? (report?.volumes ?? []).filter(fit).map((volume) => `${name}: ${say(volume)}`)
      : [],
  );
}

function volumeText({ name, level, usedBytes, sizeBytes }: VolumeUsage): string {
  const percent = Math.floor((usedBytes / sizeBytes) * 100);
  const left = Math.floor((sizeBytes - usedBytes) / (1 << 20));
  return `volume ${name} is ${level === 'full' ? 'full' : 'nearly full'} (${percent}%, ${left} MB left)`;
}

/** A file system that has not grown by then waits for its pod to be made anew. */
const GROW_MS = 300_000;

/** Volumes that were to grow and do not. */
export function volumesGrowing({ facts }: Outcome): Verdict | undefined {
  const stuck = facts.instances.flatMap(({ name, data, wal }) =>
    [data, wal].flatMap((claim) => {
      const trouble = claim && !isTerminating(claim) ? growthTrouble(facts, name, claim) : undefined;
      return trouble ? [trouble] : [];
    }),
  );
  return stuck.length > 0 ? { phase: 'Degraded', reason: stuck.join('; ') } : undefined;
}

function growthTrouble(
  { now, cluster }: Facts,
  instance: string,
  { metadata, spec, status }: PersistentVolumeClaim,
): string | undefined {
  const wanted = `volume ${metadata.name} does not grow to ${spec.resources?.requests?.storage}`;
  const of = (type: string) =>
    status?.conditions?.find((each) => each.type === type && each.status === 'True');
  const error = of('ControllerResizeError') ?? of('NodeResizeError');
  if (error) return `${wanted}: ${error.message ?? error.type}`;
  const infeasible = status?.allocatedResourceStatuses?.storage;
  if (infeasible?.endsWith('Infeasible'))
    return `${wanted}: its driver says that it cannot (${infeasible}): lower spec.storage.size, or see kubectl describe pvc ${metadata.name} -n ${metadata.namespace}`;
  const pending = of('FileSystemResizePending');
  if (!pending || now - Date.parse(pending.lastTransitionTime ?? '') < GROW_MS) return undefined;
  return `${wanted} while it is in use: make the pod anew (kubectl delete pod ${instance} -n ${cluster.metadata.namespace})`;
}
