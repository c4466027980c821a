/** For each rule: what the machine is like without it, and where the harm shows; or why none does. */
import type { Rules } from '../rules.ts';
import type { DrawOptions } from './history.ts';
import type { World, WorldOptions } from './world.ts';

/** Without the rule this answers in its place. */
export type Removal = Partial<Rules>;

/** Random histories of a kind that finds the harm soon. */
export interface Hunt extends DrawOptions {
  without: Removal;
  harm: RegExp;
  noGuard?: boolean;
}

/** A history that is told, for what chance finds too seldom. */
export interface Story {
  without: Removal;
  harm: RegExp;
  options: WorldOptions;
  faults(world: World): void;
}

export const REQUIRED: WorldOptions = { settings: { sync: { method: 'any', number: 1, required: true } } };
export const LOST = /without records|does not have/;
export const TWO = /two primaries acknowledge/;

/**
 * Rules that no history needs: others stand behind them, or they are there for speed, for a wish, or for harm that
 * this world cannot show. Their cases are in rules/.
 */
export const CAUTIONS: Partial<Record<keyof Rules, string>> = {
  silenceBegins:
    'the same version was not renewed meanwhile, read or not; grants bind whoever could not read',
  mayTakeUnread:
    'where what was seen is old the swap is refused: it says what a swap is all that is needed for',
  mayRelease: 'the situations make death certain before a release is planned',
  mayPassOverTheNamed: 'who else takes it must have everything as well: it keeps a wish, and saves a race',
  nobodyLeads:
    'a leader that lives has renewed, or is going on by grants, which bind; it spares one that hangs',
  enoughAreQuiet: 'the quorum of promises decides; this spares standbys from being cut for nothing',
  promisesDecide: 'n-k+1 of n cannot be had where a commit waits for nobody; it says so early',
  mayBecomeMember:
    'copies here are made in an instant; a real one may be behind what its lost predecessor confirmed',
  hasParted: 'for speed: a standby that cannot stream is rewound after a while in any case',
  isProvenLeader: 'nobody but the leader can be copied here; a real instance answers also when it is deposed',
  mayOverwrite: 'a second loss of a volume, at the same time, would be needed',
  isForced: 'a wish: it takes rules away for one instance',
};
