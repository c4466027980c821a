export interface MeasurementOptions {
  runs?: number;
  seconds?: number;
  /** No further run is begun that would not end within this time. */
  minutes?: number;
  /** Of pgbench's tables. */
  scale?: number;
  /** Names of what to measure, and of whom; all when empty. */
  only?: string[];
  systems?: string[];
  /** Where trials are kept, and taken from by the next measurement. */
  file?: string;
  /** Called with what tells how far it has come, for the case that it is cut off. */
  partial?(soFar: () => Outcome): void;
  /** Progress, on standard error. */
  say(text: string): void;
}

/** What came out: for machines and for people. */
export interface Outcome {
  result: object;
  lines: string[];
}

export type Measurement = (options: MeasurementOptions) => Promise<Outcome>;

/** The middle value; of an even number of values the mean of the two in the middle. */
export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? Number.NaN) + high) / 2;
}
