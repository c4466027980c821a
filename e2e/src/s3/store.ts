/** An object store of S3's kind for a scenario: a pod, a service, and the secrets by which clusters reach it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
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
const KEYS = { id: 'PGHERDKEY', secret: 'a+secret/of=its own' };
/** A ConfigMap holds so many bytes at most. */
const LARGEST = 1024 * 1024;

export interface Store {
  /** `spec.backup.repositories[].s3` that reaches it. */
  s3: Record<string, unknown>;
  bucket: string;
  /** The secret with the keys, and its values when they are right. */
  keys: { secret: string; values: Record<string, string> };
  /** How many files are below a folder of the bucket. */
  files(folder: string): Promise<number>;
}

/** Starts it in the scenario's namespace, with a certificate of an authority that nobody knows, and waits for it. */
export async function startStore(stage: Stage): Promise<Store> {
  const { client, namespace } = stage;
  const host = `${NAME}.${namespace}.svc`;
  const span = { now: new Date(), days: 1 };
  const authority = await createAuthority({ commonName: 'store', ...span });
  const leaf = await createLeaf(authority, { commonName: host, dnsNames: [host], usage: 'server', ...span });
  const values = { id: KEYS.id, secret: KEYS.secret };
  await createSecret(stage, `${NAME}-certificate`, 'Opaque', { 'tls.crt': leaf.cert, 'tls.key': leaf.key });
  await createSecret(stage, `${NAME}-keys`, 'Opaque', values);
  await createSecret(stage, `${NAME}-ca`, 'Opaque', { 'ca.crt': authority.cert });
  const metadata = { name: NAME, namespace };
  const program = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'store.mjs': await bundle() } };
  await client.create(kinds.ConfigMap, program as ConfigMap);
  await client.create(kinds.Service, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: { selector: { app: NAME }, ports: [{ port: PORT, targetPort: PORT, protocol: 'TCP' }] },
  } as unknown as Service);
  await client.create(kinds.Pod, podOf(stage));
  await waitFor(
    async () =>
      (await client.get(kinds.Pod, metadata)).status?.conditions?.some(
        ({ type, status }) => type === 'Ready' && status === 'True',
      ),
    { timeoutMs: stage.patience(60_000), everyMs: 100, describe: () => 'the object store does not start' },
  );
  const of = (secret: string, key: string) => ({ name: `${NAME}-${secret}`, key });
  return {
    s3: {
      bucket: BUCKET,
      endpoint: `${host}:${PORT}`,
      region: 'us-east-1',
      uriStyle: 'path',
      credentials: { accessKeyId: of('keys', 'id'), secretAccessKey: of('keys', 'secret') },
      ca: of('ca', 'ca.crt'),
    },
    bucket: BUCKET,
    keys: { secret: `${NAME}-keys`, values },
    async files(folder) {
      const list = `fs.readdirSync('/data/${BUCKET}/${folder}', { recursive: true, withFileTypes: true })`;
      const script = `console.log(${list}.filter((entry) => entry.isFile()).length)`;
      const command = ['/pgherd/bin/node', '-e', script];
      const { code, stdout, stderr } = await captureInPod(client, { metadata }, command, { container: NAME });
      if (code !== 0) throw new Error(`looking into the bucket: ${stderr}`);
      return Number(stdout);
    },
  };
}

function podOf({ namespace, world }: Stage): Pod {
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
          command: ['/pgherd/bin/node', '/program/store.mjs'],
          env: Object.entries({
            STORE_KEY: KEYS.id,
            STORE_SECRET: KEYS.secret,
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

/** The server as one file. */
async function bundle(): Promise<string> {
  const result = await build({
    ...COMMON,
    minifyIdentifiers: true,
    keepNames: false,
    entryPoints: [join(import.meta.dirname, 'main.ts')],
    format: 'esm',
    target: 'node24',
    plugins: [lastSlash],
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
  });
  const { text } = result.outputFiles![0]!;
  if (text.length > LARGEST) throw new Error(`the object store is ${text.length} bytes: too large`);
  return text;
}

const WITHOUT_SLASH = /canonicalizedResource \+= `\/\$\{ctx\.params\.bucket\}`/;

/**
 * What is signed is the path as it was sent. s3rver drops the slash after a bucket's name, and so refuses
 * pgBackRest's lists, which S3 itself takes.
 */
const lastSlash: Plugin = {
  name: 'last-slash',
  setup({ onLoad }) {
    onLoad({ filter: /s3rver\/lib\/middleware\/authentication\.js$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      const slash = "ctx.path === '/' + ctx.params.bucket + '/' ? '/' : ''";
      if (!WITHOUT_SLASH.test(text)) throw new Error('s3rver has changed: see whether this is still needed');
      return {
        contents: text.replace(WITHOUT_SLASH, (found) => `${found} + (${slash})`),
        loader: 'js',
      };
    });
  },
};
