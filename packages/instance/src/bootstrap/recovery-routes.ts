/** What the operator asks a running instance before a restore: what can be reached, and to archive its last WAL. */
import type { IncomingMessage } from 'node:http';
import type { ChooseRequest, EffectiveSpec, RecoveryChoice } from '@pgherd/api';
import { chooseRecovery, PostgresError, readCatalogue } from '@pgherd/postgres';
import { type RouteAnswer, type Routes, readBody } from '../backup/routes.ts';
import type { Database } from '../database/types.ts';
import { type RecoveryContext, repositorySpec } from './recovery.ts';

export interface RecoveryRoutesOptions extends RecoveryContext {
  database: Database;
  eff(): EffectiveSpec | undefined;
}

const SEAL_MS = 60_000;

/** Answers what lies below /backrest/ and is about recoveries; leaves everything else to `others`. */
export function recoveryRoutes(o: RecoveryRoutesOptions, others: Routes): Routes {
  return async (request) => {
    const { pathname } = new URL(request.url ?? '/', 'https://here');
    try {
      switch (`${request.method} ${pathname}`) {
        case 'POST /backrest/choose':
          return { status: 200, body: await choose(o, request) };
        case 'POST /backrest/seal':
          return { status: 200, body: await o.database.seal(SEAL_MS) };
        default:
          return await others(request);
      }
    } catch (error) {
      return failure(error);
    }
  };
}

async function choose(o: RecoveryRoutesOptions, request: IncomingMessage): Promise<RecoveryChoice> {
  const { source, completeUntilMs } = (await readBody(request)) as ChooseRequest;
  const eff = o.eff();
  if (!eff) throw new Error('the Cluster is not known yet');
  const { access, owner, target } = await repositorySpec(o, 'choose', source, eff, 'choose');
  const catalogue = await readCatalogue(access, owner);
  const verdict = chooseRecovery(catalogue, target, {
    now: Date.now(),
    ...(completeUntilMs === undefined ? {} : { completeUntilMs }),
  });
  if (!verdict.ok) return verdict;
  const { window } = verdict;
  const why = target.timeline ? undefined : await notBegun(o.database, target.xid);
  if (why) return { ok: false, why, window };
  const { backup, timeline } = verdict.choice;
  return { ok: true, chosen: { backup, timeline }, window };
}

/** The archive does not tell which transactions there are; the running database knows which there cannot be. */
async function notBegun(database: Database, xid: string | undefined): Promise<string | undefined> {
  const { process, inRecovery } = database.view();
  if (xid === undefined || process !== 'running' || inRecovery !== false) return undefined;
  const [row] = await database.read((query) =>
    query<{ next: string }>('select txid_snapshot_xmax(txid_current_snapshot())::text as next'),
  );
  if (!row || BigInt(xid) < BigInt(row.next)) return undefined;
  return `there is no transaction ${xid} yet: the next one is ${row.next}`;
}

function failure(error: unknown): RouteAnswer {
  const { message } = error as Error;
  const hint = error instanceof PostgresError && error.hint ? ` (${error.hint})` : '';
  return { status: 500, body: { error: `${message}${hint}` } };
}
