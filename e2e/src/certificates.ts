/** What certificates a cluster shows, seen from inside its pods. */
import assert from 'node:assert/strict';
import { type AnyObject, kinds, type Secret } from '@pgherd/kube';
import type { Stage } from './stage.ts';

/**
 * Run in an instance: talks TLS to PostgreSQL on `127.0.0.1:5432` (after its own greeting) and to the manager on
 * port 8000, and prints the serial numbers of their certificates.
 */
const PROGRAM = `
const net = require('node:net'), tls = require('node:tls');
const serial = (socket) => new Promise((resolve, reject) => {
  const secured = tls.connect({ socket, rejectUnauthorized: false }, () => {
    resolve(secured.getPeerCertificate().serialNumber); secured.destroy();
  });
  secured.on('error', reject);
});
const connect = (port) => new Promise((resolve, reject) => {
  const socket = net.connect(port, process.env.POD_IP, () => resolve(socket)); socket.on('error', reject);
});
(async () => {
  const manager = await serial(await connect(8000));
  const socket = await connect(5432);
  socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]));
  await new Promise((resolve) => socket.once('data', resolve));
  console.log(JSON.stringify({ manager, postgresql: await serial(socket) }));
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });
`;

export interface ShownSerials {
  manager: string;
  postgresql: string;
}

/** Serial numbers of the certificates that an instance shows now. */
export async function shownBy(stage: Stage, instance: string): Promise<ShownSerials> {
  const encoded = Buffer.from(PROGRAM).toString('base64');
  const run = `/pgherd/bin/node -e "eval(Buffer.from('${encoded}','base64').toString())"`;
  return JSON.parse(await stage.inPod(instance, run)) as ShownSerials;
}

export async function readSecret(stage: Stage, name: string): Promise<Record<string, string>> {
  const { data = {} } = await stage.client.get(kinds.Secret, { namespace: stage.namespace, name });
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]),
  );
}

/** Puts values into a secret that is there. */
export async function writeSecret(stage: Stage, name: string, data: Record<string, string>): Promise<void> {
  const body = {
    data: Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
    ),
  };
  await stage.client.patch(kinds.Secret, { namespace: stage.namespace, name }, { type: 'merge', body });
}

export async function createSecret(
  stage: Stage,
  name: string,
  type: string,
  stringData: Record<string, string>,
): Promise<void> {
  const metadata = { name, namespace: stage.namespace };
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata, type, stringData } as unknown as AnyObject;
  const made = await stage.client.create(kinds.Secret, secret as unknown as Secret);
  assert.equal(made.type, type);
}
