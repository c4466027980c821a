/** What came of a conformance run, for people. */
import type { RowResult } from './run.ts';

export interface ConformanceTotals {
  passed: number;
  failed: number;
  skipped: number;
}

export function totalsOf(results: RowResult[]): ConformanceTotals {
  const count = (wanted: RowResult['result']) => results.filter(({ result }) => result === wanted).length;
  return { passed: count('passed'), failed: count('failed'), skipped: count('skipped') };
}

/** One line for each row that did not pass, with the reason under it. */
export function exceptions(results: RowResult[]): string[] {
  return results
    .filter(({ result }) => result !== 'passed')
    .map(
      ({ row, result, why }) =>
        `${result.padEnd(8)} ${row.area}: ${row.name}\n         ${why.trim().replaceAll('\n', '\n         ')}`,
    );
}

/** The whole table: a line for each row, by area. */
export function fullTable(results: RowResult[]): string[] {
  return results.map(({ row, result }) => `${result.padEnd(8)} ${row.area}: ${row.name}`);
}
