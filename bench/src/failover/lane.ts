/** One system through all its trials. One that does not come back is ended and started anew: the others go on. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { MeasurementOptions } from '../measurement.ts';
import type { Row } from './rows.ts';
import type { Mode, System, SystemName } from './system.ts';
import { type Trial, tryFault } from './trial.ts';
import type { Turns } from './turns.ts';

/** Between two trials. */
const REST_MS = 1_000;

export interface LaneOptions {
  say: MeasurementOptions['say'];
  turns: Turns;
  /** Where the trials of a row go. */
  trials(row: Row): Partial<Record<SystemName, Trial[]>>;
}

export class Lane {
  readonly name: SystemName;
  private readonly make: () => System;
  private readonly o: LaneOptions;
  private system: System | undefined;
  private mode: Mode | undefined;
  private stopped = false;
  /** It could not be started anew either. */
  private lost = false;

  constructor(name: SystemName, make: () => System, options: LaneOptions) {
    this.name = name;
    this.make = make;
    this.o = options;
  }

  async start(): Promise<void> {
    this.system = this.make();
    await this.system.start();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.system?.stop();
  }

  /** Sets the kind of replication, unless it is that already. */
  async prepare(mode: Mode): Promise<void> {
    if (this.lost || this.mode === mode) return;
    this.mode = mode;
    await this.there.prepare(mode).catch((error: Error) => this.anew(error));
  }

  /** Tries each of these rows once, unless it has been tried so often already. */
  async measure(rows: Row[], run: number, onTrial: () => void): Promise<void> {
    for (const row of rows) {
      if (this.lost || !this.there.faults[row.fault]) continue;
      const all = this.o.trials(row);
      const trials = all[this.name] ?? [];
      if (trials.length >= run) continue;
      const trial = await this.tryOnce(row, run);
      if (trial) {
        all[this.name] = [...trials, trial];
        onTrial();
      }
      if (!trial || trial.unsettled) await this.anew(new Error(trial?.unsettled ?? 'the trial failed'));
      await sleep(REST_MS);
    }
  }

  private async tryOnce(row: Row, run: number): Promise<Trial | undefined> {
    const { say, turns } = this.o;
    const began = performance.now();
    const about = `${this.name}, ${row.name}, run ${run}`;
    try {
      const trial = await tryFault(this.there, row, row.slow ? undefined : turns);
      const lost = trial.lost + (trial.held?.lost ?? 0);
      const took = ((performance.now() - began) / 1000).toFixed(0);
      say(
        `${about}: ${(trial.outageMs / 1000).toFixed(2)} s, ${lost} of ${trial.acknowledged} lost (the trial took ${took} s)`,
      );
      return trial;
    } catch (error) {
      say(`${about} FAILED: ${(error as Error).message}`);
      return undefined;
    }
  }

  private async anew(why: Error): Promise<void> {
    if (this.stopped) throw why;
    this.o.say(`${this.name} is started anew: ${why.message}`);
    try {
      await this.there.stop();
      await this.start();
      if (this.mode) await this.there.prepare(this.mode);
    } catch (error) {
      this.lost = true;
      this.o.say(`${this.name} is given up: ${(error as Error).message}`);
    }
  }

  private get there(): System {
    if (!this.system) throw new Error(`${this.name} has not been started`);
    return this.system;
  }
}
