/** The instance manager: entry and wiring. The guard starts it, and starts it again when it ends. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { type EffectiveSpec, MANAGER_PORT, METRICS_PORT, names, POSTGRES_PORT } from '@pgherd/api';
import { Client, inClusterConfig } from '@pgherd/kube';
import { privateFolder } from '@pgherd/postgres';
import { Holes } from './backup/holes.ts';
import { BackupKeeper } from './backup/keeper.ts';
import { ArchiveMarks, withLeadingMark } from './backup/marks.ts';
import { backrestRoutes } from './backup/routes.ts';
import { recoveryRoutes } from './bootstrap/recovery-routes.ts';
import { openDatabase, podLayout } from './database/index.ts';
import { readEnvironment } from './environment.ts';
import { openGuardLink } from './guard-link.ts';
import { openLog } from './log.ts';
import { LoginSecrets } from './login-secrets.ts';
import { Loop } from './loop/index.ts';
import { type ManagerServer, serveLocal, serveManager } from './server/manager-server.ts';
import { createMetrics } from './server/metrics.ts';
import { serveMetrics } from './server/metrics-server.ts';
import { certificateMarks, keepTls, type TlsMaterial } from './tls.ts';

/** Of the time the pod is given to stop, kept for the last resort. */
const LAST_RESORT_MS = 5_000;
/** The pod's time to stop while the spec is not known; the shortest that Kubernetes gives by default. */
const UNKNOWN_GRACE_MS = 30_000;
/** How long there may be no certificates: by then the pod is of a cluster that is gone, or its account is. */
const CERTIFICATES_MS = 5 * 60_000;
/** Tells the guard to end the container: the kubelet decides whether there is to be another. */
const END_CONTAINER = 3;

const env = readEnvironment(process.env);
const log = openLog(env.instance);
const { manager } = log;
const end = new AbortController();

// A promise that nobody waited for is a flaw, but no reason to stop a database: its deadlines are the guard's.
process.on('unhandledRejection', (error) => {
  manager.error({ error: error instanceof Error ? error.stack : String(error) }, 'an unhandled rejection');
});

async function main(): Promise<void> {
  const managerStart = Date.now();
  const layout = podLayout(env.pgdata);
  await privateFolder(layout.run);
  const guard = withLeadingMark(openGuardLink(join(layout.run, 'beats')), layout.run);
  const marks = new ArchiveMarks(layout.run);
  const client = new Client({ ...inClusterConfig(), userAgent: 'pgherd-instance' });
  const { namespace, cluster, instance } = env;

  const database = await openDatabase({
    instance,
    cluster,
    layout,
    port: POSTGRES_PORT,
    serverName: names(cluster).rw,
    log: manager,
    onServerLog: log.postgres,
    archiver: {
      starting: () => marks.starting(),
      // Before a restore in place nobody leads next: what is not archived now may be gone for good.
      stopping: () => {
        if (!lastOfAll) marks.stopping();
      },
    },
  });
  let eff: EffectiveSpec | undefined;
  let lastOfAll = false;
  let stopping = false;
  let started = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    if (!started) process.exit(0); // Nothing runs yet.
    const graceMs = Math.max((eff?.stopDelayMs ?? UNKNOWN_GRACE_MS) - LAST_RESORT_MS, 1000);
    manager.info({ graceMs }, 'the pod is being stopped');
    loop.terminate(graceMs);
    setTimeout(lastResort, graceMs);
  };
  // The first signal asks for an orderly end; later ones change nothing, the deadlines run.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stop);
  const lastResort = async (): Promise<void> => {
    manager.error({}, 'the stop has taken too long; PostgreSQL is stopped as it is');
    await database.stop({ fastMs: 2000, immediateMs: 500 }).catch(() => undefined);
    process.exit(1);
  };

  let material: TlsMaterial | undefined;
  /** PostgreSQL has been told of them too. */
  let inForce: TlsMaterial | undefined;
  let server: ManagerServer | undefined;
  const loop = new Loop({
    client,
    namespace,
    cluster,
    instance,
    podUID: env.podUID,
    podIP: env.podIP,
    managerStart,
    database,
    layout,
    guard,
    peerTls: () => ({ ca: material!.ca, cert: material!.clientCert, key: material!.clientKey }),
    log: manager,
    deleted: stop,
    archive: () => backups.report(),
    certificates: () => inForce && certificateMarks(inForce),
    spec: (now, object) => {
      eff = now;
      lastOfAll = object.status?.restoration?.stage === 'stopping';
      backups.follow(now, object);
      log.level(now.logLevel);
      logins.follow(now, end.signal);
    },
    exit: (code, why) => {
      manager.info({ code, stopping }, `the manager ends: ${why}`);
      process.exit(code);
    },
  });
  const backups = new BackupKeeper({
    client,
    namespace,
    cluster,
    instance,
    layout,
    port: POSTGRES_PORT,
    database,
    marks,
    log: manager,
    leads: () => loop.state.held !== undefined && database.view().inRecovery === false,
    leader: () => loop.state.lease?.record.leader,
    ask: (peer) => loop.ask(peer),
    tls: () => material!,
  });
  const logins = new LoginSecrets({ client, namespace, log: manager, changed: () => loop.secretsChanged() });

  const late = setTimeout(() => {
    manager.error(
      { waitedMs: CERTIFICATES_MS },
      'the certificates of the cluster do not come; the container ends',
    );
    process.exit(END_CONTAINER);
  }, CERTIFICATES_MS);
  const first = await keepTls(
    {
      client,
      namespace,
      cluster,
      folder: layout.tls,
      log: manager,
      changed: (renewed) => {
        material = renewed;
        server?.renew(renewed);
        // One that does not run reads them when it starts.
        database
          .readFilesAgain()
          .catch((error) => manager.debug({ error: String(error) }, 'PostgreSQL was not told'))
          .then(() => {
            inForce = renewed;
          });
        backups.tlsChanged();
        manager.info({}, 'the certificates were renewed');
      },
    },
    end.signal,
  );
  clearTimeout(late);
  // They may have been renewed since.
  material ??= first;
  inForce ??= material;
  const holes = new Holes({ folder: marks.folder, pgdata: layout.pgdata, log: manager });
  server = await serveManager({
    port: MANAGER_PORT,
    material,
    answers: loop,
    backrest: recoveryRoutes(
      { client, namespace, cluster, instance, layout, database, eff: () => eff },
      backrestRoutes({
        boot: randomUUID(),
        jobs: () => backups.jobs(),
        holes: (info) => holes.in(info),
      }),
    ),
  });
  server.renew(material);
  await serveLocal(join(layout.run, 'manager.sock'), loop);
  const scrape = createMetrics({
    cluster,
    instance,
    layout,
    database,
    report: () => loop.report(),
    log: manager,
  });
  await serveMetrics({ port: METRICS_PORT, scrape });
  started = true;
  loop.start(end.signal);
  backups.start(end.signal);
  manager.info({ version: database.view().version, data: database.view().data }, 'the manager has started');
}

main().catch((error) => {
  const { code, hint, message } = error as { code?: string; hint?: string; message: string };
  manager.error({ code, hint }, message);
  process.exit(1);
});
