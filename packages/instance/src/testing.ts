/** For tests: certificates, and a spec to start from. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type EffectiveSpec, effective } from '@pgherd/api';
import { type Layout, tlsFiles } from './database/layout.ts';

/** Makes a CA and files in `folder` as the manager writes them: a server's for these names, a client's for replication. */
export function makeTls(folder: string, names: string[]): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const files = tlsFiles(folder);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', files.ca, '-subj', '/CN=test', '-days', '2');
  const leaf = (name: string, cert: string, keyFile: string, alternatives: string[]) => {
    openssl('req', ...key, '-keyout', keyFile, '-out', 'request', '-subj', `/CN=${name}`);
    const extensions = alternatives.map((alternative) => `DNS:${alternative}`).join(',');
    writeFileSync(join(folder, 'extensions'), extensions ? `subjectAltName=${extensions}\n` : '');
    openssl(
      'x509',
      '-req',
      '-in',
      'request',
      '-CA',
      files.ca,
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-out',
      cert,
      '-days',
      '1',
      '-extfile',
      'extensions',
    );
  };
  copyFileSync(files.ca, files.clientCa);
  leaf(names[0]!, files.serverCert, files.serverKey, names);
  leaf('streaming_replica', files.clientCert, files.clientKey, []);
}

/** Copies such files to another instance's folder. */
export function copyTls(from: string, to: string): void {
  mkdirSync(to, { recursive: true, mode: 0o700 });
  const [source, target] = [tlsFiles(from), tlsFiles(to)];
  for (const key of Object.keys(source) as (keyof typeof source)[]) copyFileSync(source[key], target[key]);
}

/** An instance's folders below `folder`, with certificates, and nothing on its volume; `wal`: one of its own for WAL. */
export function testLayout(folder: string, name: string, wal = false): Layout {
  const layout: Layout = {
    pgdata: join(folder, name, 'pgdata'),
    ...(wal ? { walDir: join(folder, name, 'wal', 'pg_wal') } : {}),
    notes: join(folder, name, 'pgherd'),
    sockets: join(folder, `s-${name}`),
    run: join(folder, `run-${name}`),
    tls: join(folder, 'tls'),
  };
  mkdirSync(join(folder, name));
  makeTls(layout.tls, ['demo-rw']);
  return layout;
}

/** A spec with all its defaults, small enough for a test. */
export function testSpec(postgresql: object = {}, initdb: object = {}): EffectiveSpec {
  return effective({
    metadata: { name: 'demo', namespace: 'default' },
    spec: {
      instances: 3,
      storage: { size: '1Gi' },
      postgresql: { parameters: { shared_buffers: '16MB' }, ...postgresql },
      bootstrap: { initdb },
    },
  } as Parameters<typeof effective>[0]);
}
