/** The process of the repository pod: pgBackRest's server, and backups when the operator asks for them. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { MANAGER_PORT, REPOSITORY_MOUNT, REPOSITORY_SETTINGS, type RepositorySettings } from '@pgherd/api';
import { pino } from 'pino';
import { BackupJobs } from '../backup/jobs.ts';
import { backrestRoutes } from '../backup/routes.ts';
import { BackrestServerProcess } from '../backup/server-process.ts';
import { backrestFiles, writeFiles } from '../backup/setup.ts';
import { serveBackrest } from '../server/backrest-server.ts';
import { FOLDER, instanceServer, readCertificate, repositoryFiles } from './files.ts';

/** A renewed certificate is in force after so long at most. */
const CERTIFICATE_MS = 10_000;

const log = pino({
  base: undefined,
  timestamp: pino.stdTimeFunctions.isoTime,
  formatters: { level: (level) => ({ level }) },
});

async function main(): Promise<void> {
  const settings = JSON.parse(process.env[REPOSITORY_SETTINGS] ?? '') as RepositorySettings;
  let certificate = readCertificate();
  await writeFiles(FOLDER, repositoryFiles(settings, certificate));
  const child = new BackrestServerProcess({
    config: backrestFiles(FOLDER).server,
    log,
    // The container starts again, and with it all that the server may have left behind ends.
    onEnd: () => {
      process.exit(1);
    },
  });
  child.start();
  const jobs = new BackupJobs({
    folder: FOLDER,
    log,
    server: (instance) => instanceServer(settings, instance),
  });
  const routes = backrestRoutes({
    boot: randomUUID(),
    jobs: () => jobs,
    volumes: Object.fromEntries(
      settings.repositories.map(({ name }) => [name, join(REPOSITORY_MOUNT, name)]),
    ),
  });
  const server = await serveBackrest({ port: MANAGER_PORT, material: certificate, routes });
  setInterval(async () => {
    try {
      const now = readCertificate();
      const isRenewed = !isDeepStrictEqual(now, certificate);
      // Passphrases too: what is told of a repository is to be true of the one that stands in the Secret now.
      const hasChanged = await writeFiles(FOLDER, repositoryFiles(settings, now));
      if (!isRenewed && !hasChanged) return;
      certificate = now;
      server.renew(now);
      child.reload();
      log.info(isRenewed ? 'the certificate was renewed' : 'a passphrase has changed');
    } catch (error) {
      log.error({ error: String(error) }, 'certificate and passphrases were not read');
    }
  }, CERTIFICATE_MS);
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => {
      log.info({ signal }, 'stopping');
      process.exit(0);
    });
  log.info({ repositories: settings.repositories.map(({ name }) => name) }, 'the repository is served');
}

main().catch((error) => {
  log.error({ stack: error instanceof Error ? error.stack : undefined }, String(error));
  process.exit(1);
});
