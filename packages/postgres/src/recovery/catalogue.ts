/** What lies in a backup repository, as far as a recovery has to know: read from pgBackRest's own listings. */
import { parseLsn, walFileName } from '../lsn.ts';
import type { BackupSet, StanzaInfo } from '../pgbackrest/info.ts';
import { parseHistory, type TimelineSwitch } from '../timeline.ts';

export interface CatalogueBackup {
  label: string;
  type: string;
  /** Milliseconds since 1970; pgBackRest knows whole seconds. */
  startMs: number;
  stopMs: number;
  timeline: number;
  startLsn: string;
  /** From here on the copy is consistent: a recovery cannot end before it. */
  stopLsn: string;
  /** First WAL file it needs. */
  startWal: string;
  stopWal: string;
  /** Labels of the backups that it rests on. */
  references: string[];
  /** Of the database when all of it is restored. */
  bytes: number;
  /** pgBackRest found damaged pages while it was made. */
  error: boolean;
}

export interface CatalogueTimeline {
  id: number;
  /** Its ancestors, oldest first, each with the position where it was left. */
  history: TimelineSwitch[];
  /** When its history file came to the archive: within moments of its beginning. Undefined for the first timeline. */
  bornMs?: number;
  /** Whole WAL files of this timeline in the archive, in order. */
  segments: Segment[];
}

export interface Segment {
  name: string;
  /** When it came to the archive: everything in it is older. */
  ms: number;
}

export interface Catalogue {
  stanza: string;
  systemID: string;
  /** Of PostgreSQL, for example `15`. */
  version: string;
  /** Folder of the newest database version in the archive, for example `15-1`. */
  archiveID: string;
  /** Bytes of a WAL file. */
  segmentBytes: number;
  /** Oldest first. */
  backups: CatalogueBackup[];
  /** By id. */
  timelines: CatalogueTimeline[];
}

type RepoLs = Record<string, { type: string; size?: number; time?: number }>;

const SEGMENT = /(?:^|\/)([0-9A-F]{24})-[0-9a-f]{40}(?:\.[a-z0-9]+)?$/;
const HISTORY = /(?:^|\/)([0-9A-F]{8})\.history$/;

/**
 * Puts a catalogue together: what `info` says of one stanza in one repository, the recursive listing of its archive
 * (`repo-ls`), and the content of the history files by their names. Undefined where nothing was archived.
 */
export function catalogueOf(
  stanza: StanzaInfo,
  repository: number,
  listing: string,
  histories: ReadonlyMap<string, string>,
): Catalogue | undefined {
  const found = newestArchive(stanza, repository);
  if (!found) return undefined;
  const { database, archiveID } = found;
  const backups = stanza.backups
    .filter((backup) => backup.repository === repository && backup.database === database.id)
    .flatMap(toBackup)
    .sort((a, b) => a.stopMs - b.stopMs);
  return {
    stanza: stanza.name,
    systemID: database.systemID,
    version: database.version,
    archiveID,
    segmentBytes: segmentBytesOf(backups),
    backups,
    timelines: timelinesOf(JSON.parse(listing) as RepoLs, histories, backups),
  };
}

/** The archive of the newest version of the database, where a repository has one. */
export function newestArchive(stanza: StanzaInfo, repository: number) {
  const database = stanza.databases.findLast((each) => each.repository === repository);
  const archive = stanza.archives.findLast(
    (each) => each.repository === repository && each.database === database?.id,
  );
  return database && archive ? { database, archiveID: archive.id } : undefined;
}

function toBackup({ wal, lsn, ...given }: BackupSet): CatalogueBackup[] {
  // One without WAL of its own (made offline) cannot be recovered to a point.
  if (!wal || !lsn) return [];
  return [
    {
      label: given.label,
      type: given.type,
      startMs: given.startedAt,
      stopMs: given.stoppedAt,
      timeline: Number.parseInt(wal.stop.slice(0, 8), 16),
      startLsn: lsn.start,
      stopLsn: lsn.stop,
      startWal: wal.start,
      stopWal: wal.stop,
      references: given.references,
      bytes: given.sizes.database,
      error: given.damaged,
    },
  ];
}

const MB = 1024 * 1024;

/** The one size of WAL files under which every backup's position lies in the file that pgBackRest names. */
function segmentBytesOf(backups: CatalogueBackup[]): number {
  const sizes = [16, 1, 2, 4, 8, 32, 64, 128, 256, 512, 1024].map((mb) => mb * MB);
  const fits = (bytes: number) =>
    backups.every(
      (b) => walFileName(b.timeline, parseLsn(b.startLsn), bytes).slice(8) === b.startWal.slice(8),
    );
  return sizes.find(fits) ?? 16 * MB;
}

function timelinesOf(
  listing: RepoLs,
  histories: ReadonlyMap<string, string>,
  backups: CatalogueBackup[],
): CatalogueTimeline[] {
  const timelines = new Map<number, CatalogueTimeline>();
  const of = (id: number): CatalogueTimeline => {
    const known = timelines.get(id) ?? { id, history: [], segments: [] };
    timelines.set(id, known);
    return known;
  };
  for (const { timeline } of backups) of(timeline);
  for (const [path, { type, time = 0 }] of Object.entries(listing)) {
    if (type !== 'file') continue;
    const segment = SEGMENT.exec(path)?.[1];
    if (segment)
      of(Number.parseInt(segment.slice(0, 8), 16)).segments.push({ name: segment, ms: time * 1000 });
    const history = HISTORY.exec(path)?.[1];
    if (!history) continue;
    const timeline = of(Number.parseInt(history, 16));
    timeline.bornMs = time * 1000;
    timeline.history = parseHistory(histories.get(`${history}.history`) ?? '');
  }
  for (const { segments } of timelines.values()) segments.sort((a, b) => (a.name < b.name ? -1 : 1));
  return [...timelines.values()].sort((a, b) => a.id - b.id);
}

/** Paths of the history files in a listing, to be read. */
export function historyFiles(listing: string): string[] {
  return Object.keys(JSON.parse(listing) as RepoLs).filter((path) => HISTORY.test(path));
}

/** The stanza of a cluster's database: `<cluster>-<systemID>`. With several, the one that was backed up last. */
export function stanzaOf(
  stanzas: StanzaInfo[],
  wanted: { cluster: string; systemID?: string; stanza?: string },
): StanzaInfo | undefined {
  const { cluster, systemID, stanza } = wanted;
  const mine = stanzas.filter(({ name }) => {
    if (stanza !== undefined) return name === stanza;
    if (!name.startsWith(`${cluster}-`)) return false;
    const id = name.slice(cluster.length + 1);
    return /^\d+$/.test(id) && (systemID === undefined || id === systemID);
  });
  return mine.sort((a, b) => (b.backups.at(-1)?.stoppedAt ?? 0) - (a.backups.at(-1)?.stoppedAt ?? 0))[0];
}
