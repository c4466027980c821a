/** An object store for a scenario: a pod, a service, and the secrets by which clusters reach it. */
import { gzipSync } from 'node:zlib';
import { waitFor } from '@pgherd/cli';
import { captureInPod } from '@pgherd/cli/pod-exec';
import { COMMON } from '@pgherd/cli/programs/bundle';
import { type ConfigMap, kinds, type Pod, type Service } from '@pgherd/kube';
import { createAuthority, createLeaf } from '@pgherd/operator/pki';
import { build, type Plugin } from 'esbuild';
import { createSecret } from '../certificates.ts';
import type { Stage } from '../stage.ts';

const NAME = 'store';
const PORT = 9000;
const BUCKET = 'backups';
/** A ConfigMap holds so many bytes at most. */
const LARGEST = 1024 * 1024;
const PROGRAM = ['/pgherd/bin/node', '/program/store.mjs'];
/** Unpacks the program and runs it: as it is, it may be too large for a ConfigMap. */
const LOADER = `import { readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
writeFileSync('/tmp/store.mjs', gunzipSync(readFileSync('/program/store.gz')));
await import('/tmp/store.mjs');
`;

type SecretKey = { name: string; key: string };

/** What a store is, whoever runs it. */
export interface StoreKind {
  /** Path of its server. It gets STORE_KEY, STORE_SECRET, STORE_BUCKET and STORE_PORT, and knows the word `files`. */
  program: string;
  plugins: Plugin[];
  keys: { id: string; secret: string };
  /** A secret of the right form that is not its own. */
  wrong: string;
  /** The fields of `spec.backup.repositories[]` that reach it. */
  place(o: {
    bucket: string;
    endpoint: string;
    secret(which: 'keys' | 'ca', key: string): SecretKey;
  }): Record<string, unknown>;
}

export interface Store {
  /** Fields of `spec.backup.repositories[]` that reach it. */
  place: Record<string, unknown>;
  /** The secret with the keys, and its values when they are right and when they are not. */
  keys: { secret: string; right: Record<string, string>; wrong: Record<string, string> };
  /** The secret with the authority of its certificate, and likewise. */
  ca: { secret: string; right: Record<string, string>; wrong: Record<string, string> };
  /** How many files are below a folder of the bucket. */
  files(folder: string): Promise<number>;
}

/** Starts it in the scenario's namespace, with a certificate of an authority that nobody knows, and waits for it. */
export async function startStore(stage: Stage, kind: StoreKind): Promise<Store> {
  const { client, namespace } = stage;
  const host = `${NAME}.${namespace}.svc`;
  const span = { now: new Date(), days: 1 };
  const [authority, other] = await Promise.all([
    createAuthority({ commonName: 'store', ...span }),
    createAuthority({ commonName: 'other', ...span }),
  ]);
  const leaf = await createLeaf(authority, { commonName: host, dnsNames: [host], usage: 'server', ...span });
  const certificate = { 'tls.crt': leaf.cert, 'tls.key': leaf.key, 'ca.crt': authority.cert };
  const keys = { secret: `${NAME}-keys`, right: kind.keys, wrong: { ...kind.keys, secret: kind.wrong } };
  const ca = {
    secret: `${NAME}-ca`,
    right: { 'ca.crt': authority.cert },
    wrong: { 'ca.crt': other.cert },
  };
  await createSecret(stage, `${NAME}-certificate`, 'Opaque', certificate);
  await createSecret(stage, keys.secret, 'Opaque', keys.right);
  await createSecret(stage, ca.secret, 'Opaque', ca.right);
  const metadata = { name: NAME, namespace };
  await client.create(kinds.ConfigMap, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata,
    data: { 'store.mjs': LOADER },
    binaryData: { 'store.gz': (await bundle(kind)).toString('base64') },
  } as ConfigMap);
  await client.create(kinds.Service, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: { selector: { app: NAME }, ports: [{ port: PORT, targetPort: PORT, protocol: 'TCP' }] },
  } as unknown as Service);
  await client.create(kinds.Pod, podOf(stage, kind));
  await waitFor(
    async () =>
      (await client.get(kinds.Pod, metadata)).status?.conditions?.some(
        ({ type, status }) => type === 'Ready' && status === 'True',
      ),
    { timeoutMs: stage.patience(60_000), everyMs: 100, describe: () => 'the object store does not start' },
  );
  return {
    place: kind.place({
      bucket: BUCKET,
      endpoint: `${host}:${PORT}`,
      secret: (which, key) => ({ name: { keys, ca }[which].secret, key }),
    }),
    keys,
    ca,
    async files(folder) {
      const command = [...PROGRAM, 'files', folder];
      const { code, stdout, stderr } = await captureInPod(client, { metadata }, command, { container: NAME });
      if (code !== 0) throw new Error(`looking into the bucket: ${stderr}`);
      return Number(stdout);
    },
  };
}

function podOf({ namespace, world }: Stage, { keys }: StoreKind): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: NAME, namespace, labels: { app: NAME } },
    spec: {
      terminationGracePeriodSeconds: 1,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 10001,
        fsGroup: 10001,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: NAME,
          image: world.image('pgherd'),
          command: PROGRAM,
          env: Object.entries({
            STORE_KEY: keys.id,
            STORE_SECRET: keys.secret,
            STORE_BUCKET: BUCKET,
            STORE_PORT: String(PORT),
          }).map(([name, value]) => ({ name, value })),
          volumeMounts: [
            { name: 'program', mountPath: '/program', readOnly: true },
            { name: 'certificate', mountPath: '/certificate', readOnly: true },
            { name: 'data', mountPath: '/data' },
            { name: 'tmp', mountPath: '/tmp' },
          ],
          readinessProbe: { tcpSocket: { port: PORT }, periodSeconds: 1 },
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        },
      ],
      volumes: [
        { name: 'program', configMap: { name: NAME } },
        { name: 'certificate', secret: { secretName: `${NAME}-certificate` } },
        { name: 'data', emptyDir: {} },
        { name: 'tmp', emptyDir: {} },
      ],
    },
  } as unknown as Pod;
}

/** The server as one file, packed. */
async function bundle({ program, plugins }: StoreKind): Promise<Buffer> {
  const result = await build({
    ...COMMON,
    minifyIdentifiers: true,
    keepNames: false,
    entryPoints: [program],
    format: 'esm',
    target: 'node24',
    plugins,
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
  });
  const packed = gzipSync(result.outputFiles![0]!.contents);
  if (packed.length > LARGEST) throw new Error(`the object store is ${packed.length} bytes: too large`);
  return packed;
}
