/**
 * Backups in an instance's pod: keeps the configuration of pgBackRest and its server, sees to it that the stanza is
 * there, and reports how archiving goes on. The archiving itself is done by PostgreSQL through archive.sh.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type ArchiveReport,
  type Cluster,
  type EffectiveSpec,
  type InstanceReport,
  instanceHost,
  PGBACKREST_PORT,
  stanzaName,
} from '@pgherd/api';
import { type Client, isKubeError, kinds, type Log } from '@pgherd/kube';
import type { BackrestServer } from '@pgherd/postgres';
import { type Layout, tlsFiles } from '../database/layout.ts';
import { ARCHIVE_COMMAND } from '../database/parameters.ts';
import type { Database } from '../database/types.ts';
import { Ahead } from './ahead.ts';
import { archiveFolder, archiveReport, archiverRow, laterSegment } from './archive-report.ts';
import { BackupJobs } from './jobs.ts';
import type { ArchiveMarks } from './marks.ts';
import {
  type RepositoryContext,
  type ResolvedRepository,
  resolveRepository,
  secretNames,
} from './repositories.ts';
import { RepositoryPod } from './repository-pod.ts';
import { BackrestServerProcess } from './server-process.ts';
import { backrestFiles, instanceFiles, localServer, removeFiles, writeFiles } from './setup.ts';
import { Stanzas } from './stanzas.ts';

export interface LeaderFact {
  name: string;
  address: string;
}

export interface BackupKeeperOptions {
  client: Client;
  namespace: string;
  cluster: string;
  instance: string;
  layout: Layout;
  port: number;
  database: Database;
  marks: ArchiveMarks;
  log: Log;
  /** This instance leads and runs as primary. */
  leads(): boolean;
  /** Who leads, as last seen. */
  leader(): LeaderFact | undefined;
  /** Another instance's report; null without an answer. */
  ask(peer: LeaderFact): Promise<InstanceReport | null>;
  /** Our certificates, PEM. */
  tls(): { ca: string; clientCert: string; clientKey: string };
  /** For tests: see InstanceSetup. */
  storeTimeoutS?: number;
  /** For tests: see AheadOptions. */
  heldUpMs?: number;
}

const TICK_MS = 2_000;
const SECRETS_MS = 30_000;
/** While a repository has a problem: a secret that was put right is to be seen soon. */
const SECRETS_SOON_MS = 5_000;
/** A replica that has not streamed for so long may ask the archive; at once, where its upstream no longer has the WAL. */
const FETCH_AFTER_MS = 5_000;
const STANZA_MS = 125_000;
const STANZA_SOON_MS = 10_000;
const NOT_ARCHIVING = 'PostgreSQL has not taken over the setting that archives WAL';

interface Wanted {
  eff: EffectiveSpec;
  stanza: string;
  numbers: Map<string, number>;
  /** WAL has gone there before; else the stanza has to be made first. */
  archived: boolean;
}

/** The repositories that are volumes, by name. */
function volumesOf({ eff }: Wanted): string[] {
  return eff.backup!.repositories.filter(({ store }) => store.kind === 'volume').map(({ name }) => name);
}

export class BackupKeeper {
  readonly #o: BackupKeeperOptions;
  readonly #folder: string;
  readonly #server: BackrestServerProcess;
  readonly #jobs: BackupJobs;
  readonly #pod: RepositoryPod;
  #wanted: Wanted | undefined;
  #followed = '';
  #configured = false;
  readonly #stanzas = new Stanzas();
  readonly #ahead: Ahead;
  /** By repository: what is wrong with its secrets. */
  #unresolved = new Map<string, string>();
  #secretsAt = Number.NEGATIVE_INFINITY;
  #written: Wanted | undefined;
  #report: ArchiveReport | undefined;
  #archived: string | undefined;
  #until: string | undefined;
  #notStreamingSince: number | undefined;
  #ticking = false;

  constructor(options: BackupKeeperOptions) {
    this.#o = options;
    this.#folder = options.marks.folder;
    const files = backrestFiles(this.#folder);
    this.#server = new BackrestServerProcess({ config: files.server, log: options.log });
    this.#pod = new RepositoryPod(options);
    this.#ahead = new Ahead({
      folder: this.#folder,
      pgdata: options.layout.pgdata,
      log: options.log,
      marks: options.marks,
      leads: options.leads,
      heldUpMs: options.heldUpMs,
    });
    this.#jobs = new BackupJobs({
      folder: this.#folder,
      log: options.log,
      server: (instance) => this.#serverOf(instance),
    });
  }

  start(signal: AbortSignal): void {
    const timer = setInterval(() => this.#tick(), TICK_MS);
    signal.addEventListener('abort', () => {
      clearInterval(timer);
      this.#server.stop();
    });
  }

  /** The Cluster has changed. */
  follow(eff: EffectiveSpec, cluster: Cluster): void {
    const { systemID, backup } = cluster.status ?? {};
    const numbers = new Map(backup?.repositories?.map(({ name, number }) => [name, number]));
    const known = eff.backup?.repositories.every(({ name }) => numbers.has(name));
    // The Cluster changes often, and seldom in this.
    const text = JSON.stringify([eff.backup, systemID, [...numbers]]);
    if (text === this.#followed) return;
    this.#followed = text;
    const archived = backup?.lastArchivedWAL !== undefined;
    const stanza = systemID && stanzaName(this.#o.cluster, systemID);
    this.#wanted = eff.backup && stanza && known ? { eff, stanza, numbers, archived } : undefined;
    if (!eff.backup) this.#report = undefined;
    this.#tick();
  }

  /** The certificates on disk have changed. */
  tlsChanged(): void {
    this.#server.reload();
  }

  report(): ArchiveReport | undefined {
    return this.#report;
  }

  /** For backups into object stores, which run here; undefined while nothing is set up. */
  jobs(): BackupJobs | undefined {
    return this.#configured ? this.#jobs : undefined;
  }

  #serverOf(instance: string): BackrestServer {
    const { layout, port, cluster, namespace } = this.#o;
    const local = localServer(layout, port);
    if (instance === this.#o.instance) return local;
    const tls = tlsFiles(layout.tls);
    return {
      ...local,
      host: {
        host: instanceHost(cluster, namespace, instance),
        port: PGBACKREST_PORT,
        tls: { ca: tls.ca, cert: tls.clientCert, key: tls.clientKey },
        config: backrestFiles(this.#folder).host,
      },
    };
  }

  async #tick(): Promise<void> {
    if (this.#ticking) return;
    this.#ticking = true;
    try {
      await this.#look();
    } catch (error) {
      this.#o.log.warn({ error: String(error) }, 'seeing to backups');
    } finally {
      this.#ticking = false;
    }
  }

  async #look(): Promise<void> {
    const wanted = this.#wanted;
    if (!wanted) {
      if (this.#configured) await this.#takeDown();
      return;
    }
    const troubled = this.#unresolved.size > 0 || this.#stanzas.problems().length > 0 || this.#report?.error;
    const secretsMs = troubled ? SECRETS_SOON_MS : SECRETS_MS;
    if (wanted !== this.#written || performance.now() - this.#secretsAt > secretsMs)
      await this.#configure(wanted);
    if (!this.#configured) return;
    this.#server.start();
    if (this.#o.leads()) await this.#asLeader(wanted);
    else await this.#asReplica(wanted);
  }

  async #takeDown(): Promise<void> {
    this.#configured = false;
    this.#written = undefined;
    this.#server.stop();
    this.#o.marks.stanza(undefined);
    this.#o.marks.fetch(false);
    this.#stanzas.forget();
    this.#ahead.forget();
    this.#unresolved.clear();
    this.#o.marks.incomplete(undefined);
    await removeFiles(this.#folder);
  }

  async #configure(wanted: Wanted): Promise<void> {
    const { cluster, namespace, layout, port, log } = this.#o;
    const backup = wanted.eff.backup!;
    const tls = tlsFiles(layout.tls);
    const secrets = await this.#readSecrets(secretNames(backup));
    if (!secrets) return;
    const context: RepositoryContext = {
      cluster,
      namespace,
      tls: { ca: tls.ca, cert: tls.clientCert, key: tls.clientKey },
      files: backrestFiles(this.#folder).secrets,
      secret: (name, key) => secrets.get(name)?.[key],
    };
    this.#unresolved.clear();
    const repositories: ResolvedRepository[] = [];
    for (const one of backup.repositories) {
      try {
        repositories.push(resolveRepository(one, wanted.numbers.get(one.name)!, context));
      } catch (error) {
        this.#unresolved.set(one.name, (error as Error).message);
      }
    }
    this.#secretsAt = performance.now();
    if (wanted !== this.#written) {
      this.#stanzas.forget();
      this.#ahead.forget();
    }
    this.#written = wanted;
    const [lacking] = this.#unresolved.values();
    this.#o.marks.incomplete(lacking);
    // Without any repository, WAL has to wait.
    if (repositories.length === 0) return this.#o.marks.stanza(undefined);
    const setup = {
      cluster,
      stanza: wanted.stanza,
      layout,
      folder: this.#folder,
      port,
      backup,
      repositories,
      storeTimeoutS: this.#o.storeTimeoutS,
    };
    if (await writeFiles(this.#folder, instanceFiles(setup))) {
      log.info({ repositories: backup.repositories.map(({ name }) => name) }, 'pgBackRest is set up');
      // What failed may be put right by this.
      this.#stanzas.again();
      // And what was right may be so no more: a passphrase.
      this.#stanzas.lookSoon(SECRETS_MS + SECRETS_SOON_MS);
      this.#server.reload();
      // After three failures PostgreSQL waits a minute before it tries to archive again.
      if (this.#report?.error) await this.#o.database.readFilesAgain();
    }
    this.#configured = true;
    if (wanted.archived) this.#o.marks.stanza(wanted.stanza);
  }

  /** The secrets by name, decoded; undefined when the API could not be asked: then all stays as it is. */
  async #readSecrets(wanted: string[]): Promise<Map<string, Record<string, string>> | undefined> {
    const { client, namespace } = this.#o;
    const found = new Map<string, Record<string, string>>();
    for (const name of wanted) {
      try {
        const secret = await client.find(kinds.Secret, { namespace, name }, { timeoutMs: 5_000 });
        const data = Object.entries(secret?.data ?? {});
        found.set(
          name,
          Object.fromEntries(
            data.map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]),
          ),
        );
      } catch (error) {
        // The right to read a new secret comes a moment after its name.
        if (!isKubeError(error, 'Forbidden')) return undefined;
      }
    }
    return found;
  }

  // --- the leader -------------------------------------------------------------------------------------------------

  async #asLeader(wanted: Wanted): Promise<void> {
    const { database, layout, marks } = this.#o;
    marks.fetch(false);
    this.#makeStanzas(wanted);
    const onVolumes = volumesOf(wanted);
    if (onVolumes.length > 0) this.#pod.look();
    else this.#pod.forget();
    const silent = this.#pod.problem();
    const { waiting, done } = await archiveFolder(layout.pgdata);
    const ready = this.#stanzas.ready();
    if (wanted.eff.backup!.repositories.length > 1)
      this.#ahead.see(
        wanted.stanza,
        waiting,
        new Map([...wanted.numbers].filter(([name]) => ready.includes(name))),
      );
    const row = await database.read((query) => archiverRow(query));
    const volumes = this.#pod.volumes();
    await this.#sawArchived(laterSegment(done, row.archived ?? undefined));
    // Settings that were refused, or are not applied yet: until then nothing gets there, whatever PostgreSQL counts.
    const archives = row.command === ARCHIVE_COMMAND;
    const problems = new Map([
      ...(archives ? [] : ready.map((name): [string, string] => [name, NOT_ARCHIVING])),
      ...this.#ahead.problems(),
      ...(silent ? onVolumes.map((name): [string, string] => [name, silent]) : []),
      ...this.#stanzas.problems(),
      ...this.#unresolved,
    ]);
    // What was right when it was looked at last may be so no more.
    if (this.#report?.error) this.#stanzas.lookSoon(STANZA_SOON_MS);
    this.#report = {
      ...archiveReport(row, waiting.length, marks.said(wanted.stanza)),
      ...(this.#archived ? { lastArchived: this.#archived } : {}),
      ...(this.#until ? { recoverableUntil: this.#until } : {}),
      repositories: ready.filter((name) => !problems.has(name)),
      ...(volumes ? { volumes } : {}),
      ...(problems.size > 0 ? { problems: Object.fromEntries(problems) } : {}),
    };
  }

  /** What was committed until a segment was written last is in it, or in one before. */
  async #sawArchived(file: string | undefined): Promise<void> {
    const later = laterSegment(this.#archived, file);
    if (later === this.#archived) return;
    this.#archived = later;
    const found = await stat(join(this.#o.layout.pgdata, 'pg_wal', later!)).catch(() => undefined);
    if (found) this.#until = found.mtime.toISOString();
  }

  #makeStanzas(wanted: Wanted): void {
    const { eff, stanza, numbers } = wanted;
    const { instance, marks } = this.#o;
    const volumes = volumesOf(wanted);
    const make = async (name: string): Promise<void> => {
      const repository = numbers.get(name)!;
      if (!volumes.includes(name)) return this.#jobs.createStanza(stanza, instance, repository);
      const body = { stanza, primary: instance, repository };
      await this.#pod.ask('POST', '/backrest/stanza', STANZA_MS, body);
    };
    const resolved = eff
      .backup!.repositories.map(({ name }) => name)
      .filter((name) => !this.#unresolved.has(name));
    // Whatever came of one: the others can be archived to.
    this.#stanzas.see(resolved, make, () => marks.stanza(stanza));
  }

  // --- a replica --------------------------------------------------------------------------------------------------

  async #asReplica(wanted: Wanted): Promise<void> {
    const { database, layout, marks } = this.#o;
    const view = database.view();
    const { waiting } = await archiveFolder(layout.pgdata);
    this.#report = { active: false, waiting: waiting.length };
    this.#pod.forget();
    this.#stanzas.forget();
    this.#ahead.forget();
    const leader = this.#o.leader();
    if (!leader || leader.name === this.#o.instance) return marks.fetch(false);
    const report = await this.#o.ask(leader);
    const archived = report?.leader ? report.archive?.lastArchived : undefined;
    this.#archived = laterSegment(this.#archived, archived);
    if (this.#archived) {
      marks.archived(this.#archived);
      marks.stanza(wanted.stanza);
    }
    // Only while a leader is there to be followed: in an election, asking the archive would cost time.
    const missing =
      view.process === 'running' && view.inRecovery === true && !view.streaming && report?.leader;
    if (!missing) this.#notStreamingSince = undefined;
    else this.#notStreamingSince ??= performance.now();
    const since = this.#notStreamingSince;
    const patienceMs = view.missingWal ? 0 : FETCH_AFTER_MS;
    marks.fetch(since !== undefined && performance.now() - since >= patienceMs);
  }
}
