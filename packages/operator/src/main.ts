/** The operator's process: configuration, leadership, caches, health, and its end. */
import { OPERATOR_LEASE } from '@pgherd/api';
import { Client, inClusterConfig, type Log, runElection } from '@pgherd/kube';
import { pino } from 'pino';
import { createBackupController } from './backup/controller.ts';
import { createScheduleController } from './backup/schedule-controller.ts';
import { createClusterController } from './cluster/controller.ts';
import { warmUp } from './cluster/warm-up.ts';
import { serveHealth } from './health.ts';
import { createMetrics } from './metrics.ts';
import { createOperationController } from './operation/controller.ts';
import { readResolvConf, readSettings } from './settings.ts';

const LEASE_MS = 10_000;

async function main(): Promise<void> {
  const settings = readSettings(process.env, readResolvConf());
  const log = pino({
    level: settings.logLevel,
    base: undefined,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (level) => ({ level }) },
    serializers: { error: pino.stdSerializers.err },
  }) as unknown as Log;
  const client = new Client({ ...inClusterConfig(), userAgent: 'pgherd-operator' });
  const metrics = createMetrics(() => client.requests);
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => {
      log.info({ signal }, 'stopping');
      stop.abort();
    });
  const controller = createClusterController({
    client,
    namespaces: settings.namespaces,
    operatorImage: settings.image,
    clusterDomain: settings.clusterDomain,
    log,
    metrics,
    instance: settings.podName,
  });
  const operations = createOperationController({
    client,
    namespaces: settings.namespaces,
    clusters: controller,
    log,
    instance: settings.podName,
  });
  const backups = createBackupController({
    client,
    namespaces: settings.namespaces,
    clusters: controller,
    log,
    instance: settings.podName,
  });
  const schedules = createScheduleController({
    client,
    namespaces: settings.namespaces,
    clusters: controller,
    log,
    instance: settings.podName,
  });
  let synced = false;
  const server = await serveHealth({ port: settings.port, metrics, ready: () => synced });
  controller.start(stop.signal);
  operations.start(stop.signal);
  backups.start(stop.signal);
  schedules.start(stop.signal);
  Promise.all([
    controller.synced(),
    operations.synced(),
    backups.synced(),
    schedules.synced(),
    warmUp(settings.image),
  ]).then(
    () => {
      synced = true;
      log.info({ namespaces: settings.namespaces ?? 'all' }, 'caches are filled');
    },
    (error) => stop.signal.aborted || log.error({ error }, 'getting ready'),
  );
  try {
    await runElection(
      {
        client,
        namespace: settings.namespace,
        name: OPERATOR_LEASE,
        identity: settings.identity,
        leaseMs: LEASE_MS,
        log,
      },
      (signal) =>
        Promise.all([
          controller.run(signal),
          operations.run(signal),
          backups.run(signal),
          schedules.run(signal),
        ]).then(() => undefined),
      stop.signal,
    );
  } finally {
    stop.abort();
    server.close();
  }
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(
      JSON.stringify({
        level: 'fatal',
        time: new Date().toISOString(),
        msg: String(error?.message ?? error),
        hint: error?.hint,
        stack: error?.stack,
      }),
    );
    process.exit(1);
  },
);
