/** How long a commit waits, as PostgreSQL reads synchronous_standby_names. */
import type { Link } from './database.ts';

export interface Sync {
  method: string;
  number: number;
  names: string[];
}

/** Undefined: commits wait for nobody. */
export function parseSync(text: string): Sync | undefined {
  const match = /^(ANY|FIRST) (\d+) \((.*)\)$/.exec(text);
  if (!match) return undefined;
  const names = match[3]!.split(', ').map((name) => name.replaceAll('"', ''));
  return { method: match[1]!, number: Number(match[2]), names };
}

/** The length of WAL up to which a commit need wait for nobody any more. */
export function enoughFor(sync: Sync | undefined, senders: readonly Link[]): number {
  if (!sync) return Number.POSITIVE_INFINITY;
  const { method, number, names } = sync;
  const confirmed: number[] = [];
  for (const name of names) {
    let furthest = -1;
    for (const link of senders)
      if (link.name === name && link.confirmed > furthest) furthest = link.confirmed;
    if (furthest >= 0) confirmed.push(furthest);
  }
  if (confirmed.length < number) return 0;
  // FIRST counts the first that are connected, ANY the furthest.
  if (method === 'FIRST') return Math.min(...confirmed.slice(0, number));
  return confirmed.sort((a, b) => b - a)[number - 1]!;
}
