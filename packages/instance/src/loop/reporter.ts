/** The report of this instance: from the last observation, or from a fresh one. */
import { type ArchiveReport, type InstanceReport, reportSummary } from '@pgherd/api';
import { electionReport, type State } from '@pgherd/ha';
import type { Database, DatabaseView } from '../database/types.ts';
import { readClocks } from './clock.ts';
import { buildReport } from './report.ts';
import { ServiceTimes } from './service-times.ts';

export interface ReporterOptions {
  /** How archiving goes on. */
  archive?(): ArchiveReport | undefined;
  /** Which certificates are in force. */
  certificates?(): InstanceReport['certificates'];
}

export class Reporter {
  readonly #database: Database;
  readonly #state: () => State;
  /** The last reload that was asked for and carried out. */
  readonly #reloaded: () => InstanceReport['reload'];
  readonly #more: ReporterOptions;
  readonly #service = new ServiceTimes();
  /** The standby has streamed since PostgreSQL was started. */
  #streamed = false;
  readonly #problems = new Map<string, string>();
  /** Those who wait for the report to say something else. */
  readonly #waiting = new Set<() => void>();

  constructor(
    database: Database,
    state: () => State,
    reloaded: () => InstanceReport['reload'],
    more: ReporterOptions = {},
  ) {
    this.#database = database;
    this.#more = more;
    this.#state = state;
    this.#reloaded = reloaded;
  }

  /** To be told after every step of the machine. */
  stepped(state: State): void {
    this.#service.watch(state, readClocks().wall);
    for (const look of this.#waiting) look();
  }

  /** Resolves once the report says something else than `seen` (a reportSummary), or after `ms` at the latest. */
  changed(seen: string, ms: number): Promise<void> {
    const differs = () => reportSummary(this.report()) !== seen;
    if (differs()) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      const look = () => {
        if (differs()) end();
      };
      const timer = setTimeout(end, ms);
      this.#waiting.add(look);
    });
  }

  /** From the last observation: for probes, which must not wait. */
  report(): InstanceReport {
    const view = this.#database.view();
    const state = this.#state();
    const reload = this.#reloaded();
    const archive = this.#more.archive?.();
    const certificates = this.#more.certificates?.();
    const progress = this.#database.progress();
    const report: InstanceReport = {
      ...buildReport(state, view, this.#streamed, this.#service.report),
      ...electionReport(state, readClocks()),
      ...(reload ? { reload } : {}),
      ...(archive ? { archive } : {}),
      ...(certificates ? { certificates } : {}),
      ...(progress ? { progress } : {}),
    };
    const [problem] = this.#problems.values();
    return problem && !report.error
      ? { ...report, error: { code: 'Configuration', message: problem } }
      : report;
  }

  /** From an observation that began after this call. */
  async freshView(): Promise<DatabaseView> {
    const asked = performance.now();
    let view = await this.#database.observe();
    if (view.observedAt < asked) view = await this.#database.observe();
    this.saw(view);
    return view;
  }

  /** To be told of every view, whoever asked for it. */
  saw(view: DatabaseView): void {
    if (view.process !== 'running') this.#streamed = false;
    else if (view.streaming) this.#streamed = true;
  }

  /** Notes a problem with the configuration, or (without a message) its end. True when it is news. */
  problem(what: string, message: string | undefined): boolean {
    if (message === undefined) return this.#problems.delete(what);
    if (this.#problems.get(what) === message) return false;
    this.#problems.set(what, message);
    return true;
  }
}
