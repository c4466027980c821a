/** Proves a backup: restores it into this pod, looks at every page and index, counts rows, and says so until it is deleted. */
import { join } from 'node:path';
import {
  effective,
  MANAGER_PORT,
  names,
  POSTGRES_PORT,
  VERIFY_REQUEST,
  type VerifyRequest,
} from '@pgherd/api';
import { Client, inClusterConfig } from '@pgherd/kube';
import { privateFolder } from '@pgherd/postgres';
import { repositorySpec } from '../bootstrap/recovery.ts';
import { openDatabase, podLayout } from '../database/index.ts';
import { readEnvironment } from '../environment.ts';
import { openLog } from '../log.ts';
import { serveBackrest } from '../server/backrest-server.ts';
import { keepTls } from '../tls.ts';
import { Verification } from './verification.ts';

const env = readEnvironment(process.env);
const { manager: log } = openLog(env.instance);

async function main(): Promise<void> {
  const { namespace, cluster, instance } = env;
  const request = JSON.parse(process.env[VERIFY_REQUEST] ?? '') as VerifyRequest;
  const eff = effective(request.cluster as Parameters<typeof effective>[0]);
  const layout = podLayout(env.pgdata);
  await privateFolder(layout.run);
  const client = new Client({ ...inClusterConfig(), userAgent: 'pgherd-verify' });
  const end = new AbortController();
  const changed = () => undefined;
  const material = await keepTls(
    { client, namespace, cluster, folder: layout.tls, log, changed },
    end.signal,
  );
  const database = await openDatabase({
    instance,
    cluster,
    layout,
    port: POSTGRES_PORT,
    // Nobody is to take it for the cluster.
    listenAddresses: '127.0.0.1',
    serverName: names(cluster).rw,
    log,
  });
  const verification = new Verification(database, {
    pgdata: layout.pgdata,
    sockets: layout.sockets,
    port: POSTGRES_PORT,
  });
  await serveBackrest({
    port: MANAGER_PORT,
    material,
    routes: async () => ({ status: 200, body: verification.answer() }),
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, async () => {
      await database.die().catch(() => undefined);
      process.exit(0);
    });
  await database.applySettings(eff);
  const context = { client, namespace, cluster, instance, layout };
  await verification.run(
    // One that pgBackRest already knows to be damaged is not passed over here.
    async () => ({ ...(await repositorySpec(context, request.id, request.source, eff)), newest: true }),
    request.tables,
    eff.initdb.database,
  );
  log.info({ ...verification.answer(), folder: join(layout.run) }, 'the backup was looked at');
}

main().catch((error) => {
  log.error({ stack: (error as Error).stack }, String(error));
  process.exit(1);
});
