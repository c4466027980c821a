/** What a pod that can work on repositories is asked over mutual TLS: everything below /backrest/. */
import type { IncomingMessage } from 'node:http';
import type { BackupInfo, BackupJobAnswer, BackupRequest } from '@pgherd/api';
import { PostgresError, type StanzaInfo, volumeUsage } from '@pgherd/postgres';
import type { BackupJobs } from './jobs.ts';

export interface RouteAnswer {
  status: number;
  body: unknown;
}

export type Routes = (request: IncomingMessage) => Promise<RouteAnswer>;

const LONGEST_BODY = 256 * 1024;
/** An answer about a backup is held back for so long at most, for its end to come. */
const LONGEST_WAIT_MS = 3_000;

/** `jobs`: undefined while backups are not set up here. */
export function backrestRoutes(o: {
  /** Changes whenever this process is another: what it remembers is gone then. */
  boot: string;
  jobs(): BackupJobs | undefined;
  /** Folders of repositories that are volumes here, by name. */
  volumes?: Record<string, string>;
  /** Where the archive can be looked at for holes. */
  holes?(info: StanzaInfo): Promise<BackupInfo['holes']>;
}): Routes {
  return async (request) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'https://here');
    const jobs = o.jobs();
    if (!jobs) return { status: 503, body: { error: 'pgBackRest is not set up here yet' } };
    const query = (name: string) => searchParams.get(name) ?? '';
    try {
      switch (`${request.method} ${pathname}`) {
        case 'GET /backrest/backup':
          await jobs.ended(query('id'), Math.min(Number(query('wait')) || 0, LONGEST_WAIT_MS));
          return answer(200, { boot: o.boot, job: jobs.get(query('id')), running: jobs.running() });
        case 'POST /backrest/backup': {
          const job = jobs.start((await readBody(request)) as BackupRequest);
          return answer(job ? 200 : 409, { boot: o.boot, job, running: jobs.running() });
        }
        case 'POST /backrest/cancel':
          jobs.cancel(query('id'));
          return { status: 200, body: { boot: o.boot } };
        case 'GET /backrest/info': {
          const repository = query('repository');
          const found = await jobs.info(query('stanza'), repository ? Number(repository) : undefined);
          const holes = found && (await o.holes?.(found));
          const info: BackupInfo | undefined = found && { ...found, ...(holes?.length ? { holes } : {}) };
          return { status: 200, body: { boot: o.boot, info } };
        }
        case 'GET /backrest/volumes':
          return { status: 200, body: { volumes: await usages(o.volumes ?? {}) } };
        case 'POST /backrest/stanza': {
          const { stanza, primary, repository } = (await readBody(request)) as StanzaRequest;
          await jobs.createStanza(stanza, primary, repository);
          return { status: 200, body: {} };
        }
        case 'POST /backrest/expire': {
          const { stanza, repository, set } = (await readBody(request)) as ExpireRequest;
          await jobs.expire(stanza, repository, set);
          return { status: 200, body: {} };
        }
        default:
          return { status: 404, body: { error: `there is no ${request.method} ${pathname}` } };
      }
    } catch (error) {
      return { status: 500, body: failure(error) };
    }
  };
}

async function usages(
  folders: Record<string, string>,
): Promise<Record<string, { usedBytes: number; sizeBytes: number }>> {
  const found = await Promise.all(
    Object.entries(folders).map(async ([name, folder]) => {
      const usage = await volumeUsage(folder);
      return usage ? [[name, { usedBytes: usage.usedBytes, sizeBytes: usage.sizeBytes }] as const] : [];
    }),
  );
  return Object.fromEntries(found.flat());
}

function answer(status: number, body: BackupJobAnswer): RouteAnswer {
  return { status, body };
}

interface StanzaRequest {
  stanza: string;
  primary: string;
  repository: number;
}

interface ExpireRequest {
  stanza: string;
  repository: number;
  set?: string;
}

function failure(error: unknown): { error: string; backrestError?: number } {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof PostgresError) || error.backrestError === undefined) return { error: message };
  return { error: message, backrestError: error.backrestError };
}

/** The JSON that was sent; throws for what is none, or too long. */
export async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > LONGEST_BODY) throw new Error('the request is too long');
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString('utf8'));
}
