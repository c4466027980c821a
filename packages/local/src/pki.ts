/**
 * The certificates of local mode: one authority, the API server's certificate, client certificates with their
 * kubeconfigs, and the key that signs service-account tokens. Everything lies under `<state>/pki`.
 */
import { createPrivateKey, generateKeyPairSync, webcrypto } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const YEAR_MS = 365 * 24 * 3600 * 1000;
const LIFETIME_MS = 10 * YEAR_MS;

/** Names and addresses under which the API server is reached. */
const SERVER_NAMES = [
  'localhost',
  'kubernetes',
  'kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
];
const SERVER_ADDRESSES = ['127.0.0.1', '::1', '10.96.0.1'];

/** The client identities that every local cluster has, besides one per node. */
const CLIENTS = {
  admin: { user: 'kubernetes-admin', groups: ['system:masters'] },
  controllers: { user: 'system:kube-controller-manager', groups: [] as string[] },
  netd: { user: 'system:kube-proxy', groups: [] as string[] },
  'api-proxy': { user: 'kube-apiserver', groups: ['system:masters'] },
} as const;

/** Where the pieces of the PKI lie. All are absolute if `state` is. */
export interface PkiPaths {
  dir: string;
  caCert: string;
  caKey: string;
  serverCert: string;
  serverKey: string;
  saKey: string;
  saPublicKey: string;
  adminKubeconfig: string;
  controllersKubeconfig: string;
  netdKubeconfig: string;
}

/** What {@link ensurePki} needs to know. */
export interface PkiOptions {
  /** The API server's TCP port on 127.0.0.1, written into kubeconfigs used on the host. */
  apiPort: number;
  /** Virtual nodes to make identities for. */
  nodes?: string[];
  /** The address nodes use; they live in their own network namespaces. Default `https://10.96.0.1:443`. */
  nodeServer?: string;
}

/** The layout of the PKI in a state folder, without touching the disk. */
export function pkiPaths(state: string): PkiPaths {
  const dir = join(state, 'pki');
  return {
    dir,
    caCert: join(dir, 'ca.crt'),
    caKey: join(dir, 'ca.key'),
    serverCert: join(dir, 'server.crt'),
    serverKey: join(dir, 'server.key'),
    saKey: join(dir, 'sa.key'),
    saPublicKey: join(dir, 'sa.pub'),
    adminKubeconfig: join(state, 'kubeconfig'),
    controllersKubeconfig: join(dir, 'controllers.kubeconfig'),
    netdKubeconfig: join(dir, 'netd.kubeconfig'),
  };
}

/**
 * Makes whatever is missing of the PKI and the kubeconfigs; keys that exist are kept, kubeconfigs are
 * rewritten when the port changed. Cheap (a few stats and reads) when everything is there.
 */
export async function ensurePki(state: string, options: PkiOptions): Promise<PkiPaths> {
  const paths = pkiPaths(state);
  mkdirSync(paths.dir, { recursive: true, mode: 0o700 });
  if (!existsSync(paths.saPublicKey)) writeServiceAccountKeys(paths);
  if (!existsSync(paths.caCert)) await writeAuthority(paths);
  if (!existsSync(paths.serverCert)) await issueServer(paths);
  const host = `https://127.0.0.1:${options.apiPort}`;
  for (const name of Object.keys(CLIENTS) as (keyof typeof CLIENTS)[]) {
    await ensureClient(paths, name, CLIENTS[name].user, CLIENTS[name].groups);
  }
  writeKubeconfig(paths, 'admin', paths.adminKubeconfig, host);
  writeKubeconfig(paths, 'controllers', paths.controllersKubeconfig, host);
  writeKubeconfig(paths, 'netd', paths.netdKubeconfig, host);
  for (const node of options.nodes ?? []) await ensureNodePki(state, node, options);
  return paths;
}

/** Makes the client certificate of one virtual node and `<state>/nodes/<node>/kubeconfig`. */
async function ensureNodePki(state: string, node: string, options: PkiOptions): Promise<string> {
  const paths = pkiPaths(state);
  const file = join(state, 'nodes', node, 'kubeconfig');
  await ensureClient(paths, `node-${node}`, `system:node:${node}`, ['system:nodes']);
  writeKubeconfig(paths, `node-${node}`, file, options.nodeServer ?? 'https://10.96.0.1:443');
  return file;
}

function writeServiceAccountKeys(paths: PkiPaths): void {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeSafely(paths.saKey, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), 0o600);
  writeSafely(paths.saPublicKey, pair.publicKey.export({ type: 'spki', format: 'pem' }).toString(), 0o644);
}

type X509 = typeof import('@peculiar/x509');

interface Authority {
  x509: X509;
  certificate: import('@peculiar/x509').X509Certificate;
  key: webcrypto.CryptoKey;
}

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

async function loadX509(): Promise<X509> {
  // Imported late: starting an existing state must not pay for it.
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);
  return x509;
}

function newKeyPair(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ECDSA, true, ['sign', 'verify']) as Promise<webcrypto.CryptoKeyPair>;
}

async function keyPem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    .export({ type: 'pkcs8', format: 'pem' })
    .toString();
}

async function writeAuthority(paths: PkiPaths): Promise<void> {
  const x509 = await loadX509();
  const keys = await newKeyPair();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: 'CN=pgherd-local',
    ...validity(),
    signingAlgorithm: ECDSA,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign | x509.KeyUsageFlags.digitalSignature,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  writeSafely(paths.caKey, await keyPem(keys.privateKey), 0o600);
  writeSafely(paths.caCert, `${certificate.toString('pem')}\n`, 0o644);
}

async function loadAuthority(paths: PkiPaths): Promise<Authority> {
  const x509 = await loadX509();
  const certificate = new x509.X509Certificate(readFileSync(paths.caCert, 'utf8'));
  const der = createPrivateKey(readFileSync(paths.caKey)).export({ type: 'pkcs8', format: 'der' });
  const key = await webcrypto.subtle.importKey('pkcs8', der, ECDSA, false, ['sign']);
  return { x509, certificate, key };
}

async function issueServer(paths: PkiPaths): Promise<void> {
  const issued = await issue(paths, 'CN=kube-apiserver', 'serverAuth', [
    ...SERVER_NAMES.map((value) => ({ type: 'dns' as const, value })),
    ...SERVER_ADDRESSES.map((value) => ({ type: 'ip' as const, value })),
  ]);
  writeSafely(paths.serverKey, issued.key, 0o600);
  writeSafely(paths.serverCert, issued.cert, 0o644);
}

/** A new key and a certificate of our authority for it, both PEM. */
async function issue(
  paths: PkiPaths,
  subject: string | ((x509: X509) => string),
  usage: 'serverAuth' | 'clientAuth',
  names: { type: 'dns' | 'ip'; value: string }[] = [],
): Promise<{ key: string; cert: string }> {
  const { x509, certificate, key } = await loadAuthority(paths);
  const keys = await newKeyPair();
  const issued = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: typeof subject === 'string' ? subject : subject(x509),
    issuer: certificate.subject,
    ...validity(),
    signingAlgorithm: ECDSA,
    publicKey: keys.publicKey,
    signingKey: key,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage[usage]]),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
      await x509.AuthorityKeyIdentifierExtension.create(certificate.publicKey),
    ],
  });
  return { key: await keyPem(keys.privateKey), cert: `${issued.toString('pem')}\n` };
}

/** Makes `pki/<name>.{crt,key}`: a client certificate with CN = user and one O per group. */
async function ensureClient(
  paths: PkiPaths,
  name: string,
  user: string,
  groups: readonly string[],
): Promise<void> {
  const certFile = join(paths.dir, `${name}.crt`);
  if (existsSync(certFile)) return;
  const subject = (x509: X509): string =>
    new x509.Name([...groups.map((group) => ({ O: [group] })), { CN: [user] }]).toString();
  const issued = await issue(paths, subject, 'clientAuth');
  writeSafely(join(paths.dir, `${name}.key`), issued.key, 0o600);
  writeSafely(certFile, issued.cert, 0o644);
}

function writeKubeconfig(paths: PkiPaths, client: string, file: string, server: string): void {
  const base64 = (path: string) => readFileSync(path).toString('base64');
  const text = JSON.stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'pgherd-local',
      clusters: [
        { name: 'pgherd-local', cluster: { server, 'certificate-authority-data': base64(paths.caCert) } },
      ],
      users: [
        {
          name: client,
          user: {
            'client-certificate-data': base64(join(paths.dir, `${client}.crt`)),
            'client-key-data': base64(join(paths.dir, `${client}.key`)),
          },
        },
      ],
      contexts: [
        { name: 'pgherd-local', context: { cluster: 'pgherd-local', user: client, namespace: 'default' } },
      ],
    },
    null,
    2,
  );
  // JSON is YAML, so every client reads it.
  if (existsSync(file) && readFileSync(file, 'utf8') === `${text}\n`) return;
  writeSafely(file, `${text}\n`, 0o600);
}

function validity(): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - 5 * 60_000), notAfter: new Date(now + LIFETIME_MS) };
}

function serial(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  // A serial number is a positive integer: keep the top bit clear and the first byte non-zero.
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x01;
  return Buffer.from(bytes).toString('hex');
}

function writeSafely(file: string, text: string, mode: number): void {
  mkdirSync(dirname(file), { recursive: true });
  const temporary = `${file}.new`;
  writeFileSync(temporary, text, { mode });
  renameSync(temporary, file);
}
