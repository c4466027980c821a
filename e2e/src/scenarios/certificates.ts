import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { names } from '@pgherd/api';
import { waitFor } from '@pgherd/cli';
import { createAuthority, createLeaf, type KeyPair, renewAuthority } from '@pgherd/operator/pki';
import { createSecret, readSecret, shownBy, writeSecret } from '../certificates.ts';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

const DAYS = { now: new Date(), days: 90 };
/** Within the time in which certificates are renewed. */
const SOON = { now: new Date(), days: 2 };
const PATIENCE_MS = 90_000;

export const certificates: Scenario = {
  name: 'certificates',
  title: 'certificates that end soon, and those of a user, are replaced while everything runs',
  async run(stage) {
    const corporate = await createAuthority({ commonName: 'corporate', ...DAYS });
    await createSecret(stage, 'corporate', 'Opaque', { 'ca.crt': corporate.cert });
    await createSecret(stage, 'corporate-tls', 'kubernetes.io/tls', tls(await serverLeaf(stage, corporate)));
    await stage.createCluster({
      instances: 2,
      certificates: { serverCASecret: 'corporate', serverTLSSecret: 'corporate-tls' },
    });
    const writer = await stage.startWriter();
    const before = await stage.startTimes();
    const since = stage.now();
    await userRenews(stage, corporate);
    await allEndSoon(stage);
    await anotherKey(stage);
    await replicasReconnect(stage);
    await stage.written(writer, 200);
    await stage.ready();
    assert.deepEqual(await stage.startTimes(), before, 'no PostgreSQL may have been restarted');
    assert.equal((await stage.epoch()) > 0, true);
    await stage.check(writer, since, 1_000);
  },
};

function serverLeaf(stage: Stage, authority: KeyPair): Promise<KeyPair> {
  const rw = names(stage.cluster).rw;
  const dnsNames = [rw, `${rw}.${stage.namespace}`, `${rw}.${stage.namespace}.svc`];
  return createLeaf(authority, { commonName: 'database', dnsNames, usage: 'server', ...DAYS });
}

function tls({ cert, key }: KeyPair): Record<string, string> {
  return { 'tls.crt': cert, 'tls.key': key };
}

function serialOf(pem: string): string {
  return new X509Certificate(pem).serialNumber;
}

/** The user puts a new certificate of the servers into his secret: all instances show it. */
async function userRenews(stage: Stage, corporate: KeyPair): Promise<void> {
  const app = await readSecret(stage, names(stage.cluster).app);
  assert.equal(app['ca.crt'], corporate.cert, 'clients verify by the authority that the user named');
  const next = await serverLeaf(stage, corporate);
  await writeSecret(stage, 'corporate-tls', tls(next));
  const serial = serialOf(next.cert);
  for (const { metadata } of await stage.instances())
    await waitFor(
      async () => {
        const shown = await shownBy(stage, metadata.name);
        return shown.postgresql === serial && shown.manager === serial;
      },
      {
        timeoutMs: stage.patience(PATIENCE_MS),
        everyMs: 300,
        describe: () => `${metadata.name} does not show ${serial}`,
      },
    );
  stage.note("the user's certificate was replaced");
}

/** Our own authority and the replicas' certificate are about to end: the operator makes new ones. */
async function allEndSoon(stage: Stage): Promise<void> {
  const own = names(stage.cluster);
  const { 'ca.crt': cert = '', 'ca.key': key = '' } = await readSecret(stage, own.ca);
  const ending = await renewAuthority({ cert, key }, SOON);
  await writeSecret(stage, own.ca, { 'ca.crt': ending.cert });
  await waitFor(
    async () => {
      const { 'ca.crt': now = '' } = await readSecret(stage, own.ca);
      const leaf = await readSecret(stage, own.replication);
      return now !== ending.cert && leaf['ca.crt']?.trim() === now.trim();
    },
    {
      timeoutMs: stage.patience(PATIENCE_MS),
      everyMs: 300,
      describe: () => 'the authority that ends soon is not renewed',
    },
  );
  const renewed = await readSecret(stage, own.ca);
  assert.equal(renewed['ca.key'], key, 'the key stays, so that old and new certificates verify');
  stage.note('the authority and what it signed were renewed');
}

/** Our authority is lost with its key. All trust the new one before anybody shows what it has signed. */
async function anotherKey(stage: Stage): Promise<void> {
  const own = names(stage.cluster);
  const { 'ca.crt': before = '' } = await readSecret(stage, own.ca);
  const deleted = await stage.kubectl(['delete', 'secret', own.ca, '--wait=false']);
  assert.equal(deleted.code, 0, deleted.stderr);
  await waitFor(
    async () => {
      const leaf = await readSecret(stage, own.replication);
      const trusted = leaf['ca.crt']?.trim();
      return trusted !== before.trim() && trusted === (await readSecret(stage, own.ca))['ca.crt']?.trim();
    },
    {
      timeoutMs: stage.patience(PATIENCE_MS),
      everyMs: 300,
      describe: () => 'the lost authority is still trusted',
    },
  );
  const server = await readSecret(stage, own.server);
  assert.ok(!server['ca.crt']?.includes(before.trim()), 'by clients of the servers too');
  stage.note('an authority with another key took its place');
}

/** A replica that has to connect anew does so with its new certificate. */
async function replicasReconnect(stage: Stage): Promise<void> {
  const primary = await stage.primary();
  const { 'tls.crt': cert = '' } = await readSecret(stage, names(stage.cluster).replication);
  const serial = BigInt(`0x${serialOf(cert)}`).toString();
  const serials = `SELECT client_serial FROM pg_stat_ssl JOIN pg_stat_replication USING (pid) WHERE state = 'streaming'`;
  // The replicas' own files must have been replaced first.
  await waitFor(
    async () => {
      await stage.sql('SELECT pg_terminate_backend(pid) FROM pg_stat_replication', ['--instance', primary]);
      return (await stage.sql(serials, ['--instance', primary])) === serial;
    },
    {
      timeoutMs: stage.patience(PATIENCE_MS),
      everyMs: 1_000,
      describe: () => `no replica streams with certificate ${serial}`,
    },
  );
}
