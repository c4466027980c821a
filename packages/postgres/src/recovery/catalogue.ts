/** What lies in a backup repository, as far as a recovery has to know: read from pgBackRest's own listings. */
import { PostgresError } from '../errors.ts';
import { parseLsn, walFileName } from '../lsn.ts';
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
  /** Folder of the newest database version in the archive, for example `15-1`. */
  archiveID: string;
  /** Bytes of a WAL file. */
  segmentBytes: number;
  /** Oldest first. */
  backups: CatalogueBackup[];
  /** By id. */
  timelines: CatalogueTimeline[];
}

interface InfoStanza {
  name: string;
  status?: { code?: number; message?: string };
  db?: { id: number; 'repo-key': number; 'system-id': number; version: string }[];
  archive?: { id: string; database: { id: number; 'repo-key': number } }[];
  backup?: {
    label: string;
    type: string;
    error?: boolean | null;
    archive: { start: string | null; stop: string | null };
    lsn?: { start?: string; stop?: string };
    timestamp: { start: number; stop: number };
    database: { id: number; 'repo-key': number };
  }[];
}

/**
 * The stanzas in the answer of `pgbackrest info --output=json`. System identifiers are too large for a JSON number,
 * so they are made strings before they are parsed.
 */
export function parseInfo(json: string): InfoStanza[] {
  return JSON.parse(json.replace(/("system-id"\s*:\s*)(\d+)/g, '$1"$2"')) as InfoStanza[];
}

type RepoLs = Record<string, { type: string; size?: number; time?: number }>;

const SEGMENT = /(?:^|\/)([0-9A-F]{24})-[0-9a-f]{40}(?:\.[a-z0-9]+)?$/;
const HISTORY = /(?:^|\/)([0-9A-F]{8})\.history$/;

/**
 * Puts a catalogue together: one stanza out of `info`, the recursive listing of its archive (`repo-ls`), and the
 * content of the history files by their names. Throws PostgresError `NoBackup` for a stanza without a database.
 */
export function catalogueOf(
  stanza: InfoStanza,
  listing: string,
  histories: ReadonlyMap<string, string>,
): Catalogue {
  const db = stanza.db?.at(-1);
  const archive = stanza.archive?.findLast(({ database }) => database.id === db?.id);
  if (!db || !archive)
    throw new PostgresError('NoBackup', `reading the backups of stanza ${stanza.name}: nothing was archived`, {
      hint: stanza.status?.message ?? 'no stanza',
    });
  const backups = (stanza.backup ?? [])
    .filter(({ database }) => database.id === db.id)
    .flatMap(toBackup)
    .sort((a, b) => a.stopMs - b.stopMs);
  return {
    stanza: stanza.name,
    systemID: String(db['system-id']),
    archiveID: archive.id,
    segmentBytes: segmentBytesOf(backups),
    backups,
    timelines: timelinesOf(JSON.parse(listing) as RepoLs, histories, backups),
  };
}

function toBackup(given: NonNullable<InfoStanza['backup']>[number]): CatalogueBackup[] {
  const { archive, lsn } = given;
  // One without WAL of its own (made offline) cannot be recovered to a point.
  if (!archive.start || !archive.stop || !lsn?.start || !lsn.stop) return [];
  return [
    {
      label: given.label,
      type: given.type,
      startMs: given.timestamp.start * 1000,
      stopMs: given.timestamp.stop * 1000,
      timeline: Number.parseInt(archive.stop.slice(0, 8), 16),
      startLsn: lsn.start,
      stopLsn: lsn.stop,
      startWal: archive.start,
      stopWal: archive.stop,
      error: given.error === true,
    },
  ];
}

const MB = 1024 * 1024;

/** The one size of WAL files under which every backup's position lies in the file that pgBackRest names. */
function segmentBytesOf(backups: CatalogueBackup[]): number {
  const sizes = [16, 1, 2, 4, 8, 32, 64, 128, 256, 512, 1024].map((mb) => mb * MB);
  const fits = (bytes: number) =>
    backups.every((b) => walFileName(b.timeline, parseLsn(b.startLsn), bytes).slice(8) === b.startWal.slice(8));
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
    if (segment) of(Number.parseInt(segment.slice(0, 8), 16)).segments.push({ name: segment, ms: time * 1000 });
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

/** The stanza of a cluster's database: `<cluster>-<systemID>`. With several, the one backed up or archived last. */
export function stanzaOf(
  stanzas: InfoStanza[],
  wanted: { cluster: string; systemID?: string; stanza?: string },
): InfoStanza | undefined {
  const { cluster, systemID, stanza } = wanted;
  const mine = stanzas.filter(({ name }) => {
    if (stanza !== undefined) return name === stanza;
    if (!name.startsWith(`${cluster}-`)) return false;
    const id = name.slice(cluster.length + 1);
    return /^\d+$/.test(id) && (systemID === undefined || id === systemID);
  });
  const newest = ({ backup = [] }: InfoStanza) => Math.max(0, ...backup.map(({ timestamp }) => timestamp.stop));
  return mine.sort((a, b) => newest(b) - newest(a))[0];
}

export type { InfoStanza };
