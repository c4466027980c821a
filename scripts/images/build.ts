/** How each image is made, from packages and sources to one archive. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './command.ts';
import { makeDebianRoot, readList } from './debian.ts';
import { type BuiltImage, isoTime, type Layer, type RunConfig, tarFolder, writeImage } from './oci.ts';
import { fillPgherd, OPERATOR_USER, PGHERD_PACKAGES } from './pgherd-root.ts';
import {
  ARCHITECTURE,
  DEBIAN,
  EPOCH,
  type ImageName,
  POSTGRES_MAJOR,
  RECIPES,
  tagOf,
  VERSION,
} from './settings.ts';

export interface BuildOptions {
  /** What stands before the image's name, such as ghcr.io/pgherd. */
  registry: string;
  /** Folder of the archives; made when missing. */
  out: string;
  /** Lines of a sources.list. */
  mirrors: string[];
}

export interface Built extends BuiltImage {
  name: ImageName;
  layers: Layer[];
  /** What to delete once the layers are no longer looked at. */
  scratch: string;
}

/** Builds one image. Takes ten seconds to two minutes; throws ImageError. The caller deletes `scratch`. */
export async function buildImage(name: ImageName, options: BuildOptions): Promise<Built> {
  mkdirSync(options.out, { recursive: true });
  const scratch = mkdtempSync(join(options.out, `.${name}-`));
  try {
    const layers =
      name === 'pgherd'
        ? await pgherdLayers(scratch, options.mirrors)
        : postgresqlLayers(scratch, options.mirrors);
    const file = join(options.out, `${name}-${tagOf(name)}-${ARCHITECTURE}.tar`);
    const input = {
      reference: `${options.registry}/${name}:${tagOf(name)}`,
      architecture: ARCHITECTURE,
      config: name === 'pgherd' ? pgherdConfig() : postgresqlConfig(),
      layers,
      epoch: EPOCH,
    };
    return { ...(await writeImage(input, file, scratch)), name, layers, scratch };
  } catch (error) {
    rmSync(scratch, { recursive: true, force: true });
    throw error;
  }
}

async function pgherdLayers(scratch: string, mirrors: string[]): Promise<Layer[]> {
  const packages = join(scratch, 'packages.tar');
  makeDebianRoot({ variant: 'extract', packages: PGHERD_PACKAGES, target: packages }, mirrors);
  const [debian, base, programs] = ['debian', 'base', 'programs'].map((folder) => {
    const path = join(scratch, folder);
    mkdirSync(path);
    return path;
  }) as [string, string, string];
  run('tar', ['-xf', packages, '-C', debian, '--no-same-owner', '--exclude=./dev/*']);
  await fillPgherd(base, programs, debian);
  return [
    { folder: base, tar: 'base.tar', madeBy: `Node ${process.versions.node} with its libraries, busybox` },
    { folder: programs, tar: 'programs.tar', madeBy: `pgherd ${VERSION}` },
  ].map(({ folder, tar, madeBy }) => {
    const path = join(scratch, tar);
    tarFolder(folder, path, EPOCH);
    return { tar: path, madeBy };
  });
}

function postgresqlLayers(scratch: string, mirrors: string[]): Layer[] {
  const recipe = join(RECIPES, 'postgresql');
  const packages = readList('postgresql/packages.txt');
  const raw = join(scratch, 'raw.tar');
  const inRoot = (script: string) => `chroot "$1" sh -s <'${join(recipe, script)}'`;
  makeDebianRoot(
    {
      variant: 'essential',
      packages,
      target: raw,
      options: [
        ...readList('postgresql/excluded-paths.txt').map((line) => `--dpkgopt=${line}`),
        `--essential-hook=${inRoot('prepare.sh')}`,
        `--customize-hook=${inRoot('finish.sh')}`,
        // finish.sh cleans up, for Docker as well; what mmdebstrap would clean is gone by then.
        '--skip=cleanup',
      ],
    },
    mirrors,
  );
  const tar = join(scratch, 'root.tar');
  // Devices are the container runtime's business, and only root may unpack them.
  run('sh', ['-c', `mmtarfilter --path-exclude='/dev/*' <'${raw}' >'${tar}'`]);
  rmSync(raw);
  return [{ tar, madeBy: `Debian ${DEBIAN.version}: ${packages.join(' ')}` }];
}

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

function labels(
  title: string,
  description: string,
  version: string,
  licences: string,
): Record<string, string> {
  return {
    'org.opencontainers.image.title': title,
    'org.opencontainers.image.description': description,
    'org.opencontainers.image.version': version,
    'org.opencontainers.image.created': isoTime(EPOCH),
    'org.opencontainers.image.vendor': 'pgherd',
    'org.opencontainers.image.licenses': licences,
    'org.opencontainers.image.base.name': `debian:${DEBIAN.suite}`,
  };
}

/** What the image `pgherd` runs. The same stands in deploy/images/pgherd/Dockerfile. */
export function pgherdConfig(): RunConfig {
  return {
    User: `${OPERATOR_USER}:${OPERATOR_USER}`,
    Env: [`PATH=${PATH}`, 'HOME=/tmp'],
    Entrypoint: ['/usr/local/bin/pgherd'],
    Cmd: ['--help'],
    WorkingDir: '/tmp',
    Labels: labels(
      'pgherd',
      'The operator, the command line, and the instance manager that is copied into database pods.',
      VERSION,
      'Apache-2.0',
    ),
  };
}

/** What the image `postgresql` runs. The same stands in deploy/images/postgresql/Dockerfile. */
export function postgresqlConfig(): RunConfig {
  return {
    User: '26:26',
    Env: [
      `PATH=/usr/lib/postgresql/${POSTGRES_MAJOR}/bin:${PATH}`,
      'LANG=en_US.UTF-8',
      'HOME=/var/lib/postgresql',
      'PGDATA=/var/lib/postgresql/data/pgdata',
    ],
    Cmd: ['postgres'],
    WorkingDir: '/var/lib/postgresql',
    StopSignal: 'SIGINT',
    Labels: labels(
      'postgresql',
      'PostgreSQL with contrib, pgaudit, pgBackRest and PgBouncer, for clusters of pgherd.',
      POSTGRES_MAJOR,
      'PostgreSQL',
    ),
  };
}
