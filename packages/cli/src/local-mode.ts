/** Local mode with pgherd in it: the images it knows, and the operator as an ordinary Deployment. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DEFAULT_POSTGRES_IMAGE, OPERATOR_IMAGE, OPERATOR_NAMESPACE } from '@pgherd/api';
import { Client, type Deployment, ensure, type Kind, type KubeObject, kinds } from '@pgherd/kube';
import { loadKubeconfig } from '@pgherd/kube/kubeconfig';
import { type ImageConfig, LocalError, type LocalInfo, preflight, up } from '@pgherd/local';
import { operatorManifests } from '@pgherd/operator/manifests';
import { CliError } from './errors.ts';
import { bundlePayload, hashOf, placeNode, writePayload } from './payload.ts';
import { programFiles } from './programs/files.ts';
import { waitFor } from './wait.ts';

/** Where the pods of local mode find Node, so that no pod needs a copy of its own. */
const NODE_MOUNT = '/opt/pgherd-node';
const INSTALLED = '/usr/lib/postgresql';
/** On the operator's pods: a new payload rolls them, as a new image would. */
const PAYLOAD_ANNOTATION = 'pgherd.io/payload';

export interface BringUpOptions {
  state: string;
  nodes?: number | string[];
  apiPort?: number;
  signal?: AbortSignal;
  onProgress?: (text: string) => void;
}

export interface LocalWorld {
  info: LocalInfo;
  client: Client;
}

/**
 * Starts local mode, or finds it running, and has the operator run in it. Takes seconds; does again only what is
 * missing. Throws LocalError with what the machine lacks.
 */
export async function bringUp(options: BringUpOptions): Promise<LocalWorld> {
  const say = options.onProgress ?? (() => {});
  const postgres = findPostgres();
  say('Looking at this machine');
  const [problem] = await preflight({ state: options.state });
  if (problem) throw new LocalError(problem.code, problem.message, problem.hint);
  say('Making the programs ready');
  const node = await keepNode(options.state);
  const { images, hash } = await makeImages(options.state, postgres, node);
  const programs = await keepPrograms(options.state);
  const info = await up({
    state: options.state,
    nodes: options.nodes,
    apiPort: options.apiPort,
    images,
    programs,
    node: join(node, 'node'),
    signal: options.signal,
    onProgress: (step) => say(step.message),
  });
  if (!info.alreadyRunning) await removeOthers(programs);
  const client = new Client({ ...(await loadKubeconfig({ path: info.kubeconfig })), userAgent: 'pgherd' });
  say('Installing the operator');
  await installOperator(client, hash, options.signal);
  say('Waiting for the operator');
  await operatorReady(client, options.signal);
  return { info, client };
}

/** The PostgreSQL versions of this machine: major version → folder of binaries. */
export function findPostgres(folder: string = INSTALLED): Map<string, string> {
  const found = new Map<string, string>();
  for (const major of existsSync(folder) ? readdirSync(folder) : []) {
    const bin = join(folder, major, 'bin');
    if (/^\d+$/.test(major) && existsSync(join(bin, 'postgres'))) found.set(major, bin);
  }
  if (found.size === 0) {
    throw new CliError('failed', `No PostgreSQL is installed under ${folder}.`, {
      hint: 'Install it, on Debian with: apt-get install --no-install-recommends postgresql-15',
    });
  }
  return found;
}

/**
 * Node as a file of the state folder: what runs goes on running while npm replaces the one that started it. Returns
 * its folder.
 */
async function keepNode(state: string): Promise<string> {
  const folder = join(state, 'images', `node-${process.versions.node}`);
  if (existsSync(join(folder, 'node'))) return folder;
  await mkdir(folder, { recursive: true, mode: 0o755 });
  await placeNode(join(folder, 'node'));
  return folder;
}

/** The programs of local mode as files of the state folder, for the same reason. Returns their folder. */
async function keepPrograms(state: string): Promise<string> {
  const files = [...(await programFiles())].filter(([name]) => name.startsWith('local/'));
  const folder = join(state, 'programs', hashOf(files));
  await placeFolder(folder, async (draft) => {
    await mkdir(draft, { recursive: true });
    await Promise.all(files.map(([name, content]) => writeFile(join(draft, basename(name)), content)));
  });
  return folder;
}

/** Programs of former versions, which nothing loads any more once others have been started. */
async function removeOthers(folder: string): Promise<void> {
  const parent = dirname(folder);
  const others = readdirSync(parent).filter((name) => name !== basename(folder));
  await Promise.all(others.map((name) => rm(join(parent, name), { recursive: true, force: true })));
}

/** Written aside and renamed: a folder under its final name is complete. */
async function placeFolder(folder: string, fill: (draft: string) => Promise<void>): Promise<void> {
  if (existsSync(folder)) return;
  const draft = `${folder}.${process.pid}`;
  await rm(draft, { recursive: true, force: true });
  await fill(draft);
  await rename(draft, folder).catch(() => rm(draft, { recursive: true, force: true }));
}

/** Fills `<state>/images` and says what each image name means here. */
async function makeImages(
  state: string,
  postgres: Map<string, string>,
  node: string,
): Promise<{ images: Record<string, ImageConfig>; hash: string }> {
  const folder = join(state, 'images');
  await chmod(folder, 0o755);
  const payload = await bundlePayload();
  const payloadFolder = join(folder, `pgherd-${payload.hash}`);
  await placeFolder(payloadFolder, (draft) =>
    writePayload(draft, payload, { node: { linkTo: `${NODE_MOUNT}/node` } }),
  );
  const mounts = { [NODE_MOUNT]: node };
  const images: Record<string, ImageConfig> = {
    [OPERATOR_IMAGE]: {
      mounts: { ...mounts, '/pgherd': payloadFolder },
      command: ['/pgherd/bin/node', '/pgherd/operator.mjs'],
    },
  };
  const repository = DEFAULT_POSTGRES_IMAGE.slice(0, DEFAULT_POSTGRES_IMAGE.lastIndexOf(':'));
  for (const [major, bin] of postgres) images[`${repository}:${major}`] = { bin: [bin], mounts };
  const about = createHash('sha256').update(JSON.stringify(images)).digest('hex').slice(0, 12);
  return { images, hash: `${payload.hash}-${about}` };
}

const byName = new Map<string, Kind>(
  Object.values(kinds).map((kind) => [`${kind.group}/${kind.kind}`, kind as Kind]),
);

/** The kind of an object, found by its apiVersion; CliError when it is none that the operator's manifests use. */
function kindOf(object: KubeObject): Kind {
  const group = object.apiVersion.includes('/')
    ? object.apiVersion.slice(0, object.apiVersion.indexOf('/'))
    : '';
  const kind = byName.get(`${group}/${object.kind}`);
  if (!kind) throw new CliError('failed', `No known kind for ${object.apiVersion} ${object.kind}`);
  return kind;
}

async function installOperator(client: Client, hash: string, signal?: AbortSignal): Promise<void> {
  const manifests = operatorManifests({ image: OPERATOR_IMAGE, replicas: 1, namespace: OPERATOR_NAMESPACE });
  for (const manifest of manifests) {
    signal?.throwIfAborted();
    if (manifest.kind === 'Deployment') markPayload(manifest as Deployment, hash);
    await ensure(client, kindOf(manifest), manifest);
  }
}

function markPayload(deployment: Deployment, hash: string): void {
  const template = deployment.spec?.template;
  if (!template) return;
  template.metadata = {
    ...template.metadata,
    annotations: { ...template.metadata?.annotations, [PAYLOAD_ANNOTATION]: hash },
  } as typeof template.metadata;
}

async function operatorReady(client: Client, signal?: AbortSignal): Promise<void> {
  let reason = 'the operator has not been seen yet';
  await waitFor(
    async () => {
      const { items } = await client.list(kinds.Deployment, { namespace: OPERATOR_NAMESPACE });
      const deployment = items[0];
      const { status, spec, metadata } = deployment ?? {};
      reason = `${status?.availableReplicas ?? 0} of ${spec?.replicas ?? 1} operator pods are available`;
      return (
        (status?.availableReplicas ?? 0) >= (spec?.replicas ?? 1) &&
        (status?.updatedReplicas ?? 0) >= (spec?.replicas ?? 1) &&
        (status?.observedGeneration ?? 0) >= (metadata?.generation ?? 0)
      );
    },
    {
      timeoutMs: 60_000,
      everyMs: 100,
      signal,
      describe: () => reason,
      hint: `Look at it: kubectl -n ${OPERATOR_NAMESPACE} describe pods; kubectl -n ${OPERATOR_NAMESPACE} logs deploy/pgherd-operator`,
    },
  );
}
