/**
 * What happens, and when: made from the seed alone, so that a seed gives the same sequence again. Who is hit is said
 * by role or number, since who leads is not known before.
 */
import { Random } from './random.ts';

/** Faults that last, and what they last: milliseconds at least and at most. */
const LASTING = {
  'node-stop': [3_000, 20_000],
  'node-freeze': [2_000, 20_000],
  'node-isolate': [2_000, 20_000],
  'api-away': [1_000, 20_000],
  'operator-away': [2_000, 15_000],
  'manager-freeze': [1_000, 15_000],
  'postmaster-freeze': [500, 15_000],
  'postgres-freeze': [500, 15_000],
  'endless-transaction': [3_000, 20_000],
  'many-connections': [3_000, 15_000],
  'scale-down': [5_000, 20_000],
  'scale-up': [5_000, 20_000],
  'supervisor-kill': [0, 3_000],
} as const satisfies Record<string, readonly [number, number]>;

/** Faults that are over at once, though not what they leave. */
const MOMENTARY = [
  'postmaster-kill',
  'manager-kill',
  'pod-kill',
  'pod-delete',
  'pod-delete-now',
  'walsenders-end',
  'backend-kill',
  'agent-kill',
  'api-kill',
  'controllers-kill',
  'netd-kill',
  'operator-kill',
  'switchover',
  'setting-reload',
  'setting-restart',
  'synchronous-change',
  'lease-delete',
] as const;

/** Faults of volumes, for runs whose volumes lie on file systems of their own. */
const OF_DISKS = {
  'disk-hang': [1_000, 25_000],
  'disk-full': [3_000, 20_000],
} as const satisfies Record<string, readonly [number, number]>;

/** What is asked of a cluster that has a repository. */
const OF_BACKUPS = ['backup'] as const;

/** Faults that take data: only one in an episode, and only on a cluster that has all of them. */
export const DESTROYING = ['data-empty', 'data-damage', 'volume-delete'] as const;

export type FaultKind =
  | keyof typeof LASTING
  | (typeof MOMENTARY)[number]
  | keyof typeof OF_DISKS
  | (typeof OF_BACKUPS)[number]
  | (typeof DESTROYING)[number];
export type Victim = 'primary' | 'replica' | 'any';

export interface PlannedFault {
  kind: FaultKind;
  victim: Victim;
  /** Which one of several that fit, as a fraction of their number. */
  which: number;
  /** After the start of the episode, milliseconds. */
  atMs: number;
  /** 0 for what is over at once. */
  lastsMs: number;
}

/** Some faults that overlap; after them the cluster must become well again. */
export interface Episode {
  number: number;
  faults: PlannedFault[];
}

const LATEST_MS = 6_000;

/** Faults that make sense for one role only. */
const MEANT_FOR: Partial<Record<FaultKind, Victim>> = {
  // Damage under a running primary may go unseen until it is copied: nothing outside a backup helps then.
  'data-damage': 'replica',
  'volume-delete': 'replica',
  'walsenders-end': 'primary',
  'endless-transaction': 'primary',
  'many-connections': 'primary',
};

/** What a run can do. */
export interface Means {
  mode: 'sync' | 'async';
  disks: boolean;
  backups: boolean;
}

/** The faults that a run with these means has. */
export function kindsFor({ mode, disks, backups }: Means): FaultKind[] {
  const unfit: FaultKind[] = [
    // It would make the run a synchronous one.
    ...(mode === 'async' ? (['synchronous-change'] as const) : []),
    // There are as many disks as instances, and each is used once.
    ...(disks ? (['scale-up', 'scale-down', 'volume-delete'] as const) : []),
  ];
  const all: FaultKind[] = [
    ...(Object.keys(LASTING) as (keyof typeof LASTING)[]),
    ...MOMENTARY,
    ...(disks ? (Object.keys(OF_DISKS) as (keyof typeof OF_DISKS)[]) : []),
    ...(backups ? OF_BACKUPS : []),
    ...DESTROYING,
  ];
  return all.filter((each) => !unfit.includes(each));
}

/** The episodes of a seed, without end, made of these faults. */
export function* episodes(seed: number, kinds: readonly FaultKind[]): Generator<Episode, never> {
  const random = new Random(seed);
  const takesData = (each: FaultKind) => DESTROYING.some((kind) => kind === each);
  const harmless = kinds.filter((each) => !takesData(each));
  const destroying = kinds.filter(takesData);
  for (let number = 1; ; number++) {
    const faults: PlannedFault[] = [];
    const count = random.pick([1, 1, 2, 2, 3]);
    // What takes data comes first, on a cluster that is whole.
    if (destroying.length > 0 && (harmless.length === 0 || random.chance(0.15)))
      faults.push(plan(random, random.pick(destroying), 0));
    while (faults.length < count && harmless.length > 0)
      faults.push(plan(random, random.pick(harmless), random.between(0, LATEST_MS)));
    faults.sort((a, b) => a.atMs - b.atMs);
    yield { number, faults };
  }
}

function plan(random: Random, kind: FaultKind, atMs: number): PlannedFault {
  const lasting: Partial<Record<FaultKind, readonly [number, number]>> = { ...LASTING, ...OF_DISKS };
  const [low, high] = lasting[kind] ?? [0, 0];
  const drawn = random.pick(['primary', 'primary', 'replica', 'any'] as const);
  const victim = MEANT_FOR[kind] ?? drawn;
  return { kind, victim, which: random.next(), atMs, lastsMs: random.between(low, high) };
}

/** One line for the report. */
export function describe(fault: PlannedFault): string {
  const lasts = fault.lastsMs > 0 ? ` for ${(fault.lastsMs / 1000).toFixed(1)} s` : '';
  return `${fault.kind} (${fault.victim})${lasts}`;
}
