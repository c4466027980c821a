/** Looks for WAL files that are missing in the middle of an archive: nothing else would notice before a restore. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ArchiveHole, archiveHole, catalogueIn, type Logger, type StanzaInfo } from '@pgherd/postgres';
import { archiveFolder } from './archive-report.ts';
import { backrestFiles } from './setup.ts';

/** A listing is made again after this time at the earliest, and takes no more than a hundredth of the time. */
const AGAIN_MS = 45_000;
const PART = 100;
/** An answer waits so long for a listing; a later one has what this one lacks. */
const WAIT_MS = 5_000;

export interface HolesOptions {
  folder: string;
  pgdata: string;
  log: Logger;
}

interface Known {
  /** Of which backups. */
  of: string;
  notBefore: number;
  hole?: ArchiveHole;
  looking?: Promise<void>;
}

export class Holes {
  readonly #o: HolesOptions;
  readonly #known = new Map<number, Known>();

  constructor(options: HolesOptions) {
    this.#o = options;
  }

  /** The hole in each repository that has one, as far as is known by now. */
  async in(info: StanzaInfo): Promise<({ repository: number } & ArchiveHole)[]> {
    const numbers = info.repositories.filter(({ status }) => status.code === 0).map(({ number }) => number);
    const looks = numbers.map((number) => this.#look(info, number));
    await Promise.race([Promise.all(looks), sleep(WAIT_MS)]);
    return numbers.flatMap((repository) => {
      const { hole } = this.#known.get(repository) ?? {};
      return hole ? [{ repository, ...hole }] : [];
    });
  }

  #look(info: StanzaInfo, repository: number): Promise<void> | undefined {
    const labels = info.backups.filter((one) => one.repository === repository).map(({ label }) => label);
    const of = [info.name, ...labels].join(' ');
    const known: Known = this.#known.get(repository) ?? { of: '', notBefore: 0 };
    this.#known.set(repository, known);
    if (known.looking || (known.of === of && performance.now() < known.notBefore)) return known.looking;
    known.of = of;
    known.looking = this.#list(info, repository, known).finally(() => {
      delete known.looking;
    });
    return known.looking;
  }

  async #list(info: StanzaInfo, repository: number, known: Known): Promise<void> {
    const { folder, pgdata, log } = this.#o;
    const began = performance.now();
    try {
      // First, so that what is archived meanwhile is not taken for missing.
      const { waiting } = await archiveFolder(pgdata);
      const access = { config: backrestFiles(folder).alone(repository), repository };
      const catalogue = await catalogueIn(access, info);
      const hole = catalogue && archiveHole(catalogue, Date.now(), new Set(waiting));
      if (hole) known.hole = hole;
      else delete known.hole;
    } catch (error) {
      // What is wrong with it is said elsewhere.
      log.debug({ repository, error: (error as Error).message }, 'the archive was not listed');
    }
    const took = performance.now() - began;
    known.notBefore = performance.now() + Math.max(AGAIN_MS, PART * took);
  }
}
