import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSpec } from '../testing.ts';
import { renderHba, renderIdent } from './access.ts';
import type { Layout } from './layout.ts';
import { parameters } from './parameters.ts';
import { scramMatches, scramVerifier } from './scram.ts';
import { slotName, upstreamConninfo } from './upstream.ts';

const layout: Layout = {
  pgdata: '/v/pgdata',
  notes: '/v/pgherd',
  sockets: '/run/postgresql',
  run: '/run/pgherd',
  tls: '/run/pgherd/tls',
};
const context = { instance: 'demo-1', major: 15, layout, port: 5432, listenAddresses: '*' };

test('the user changes our defaults, but nothing that leadership, encryption or the log rest on', () => {
  const spec = testSpec({
    parameters: { max_wal_senders: '7', work_mem: '8MB' },
    shared_preload_libraries: ['pg_stat_statements', 'auto_explain'],
  });
  const settings = parameters(spec, context);
  assert.equal(settings.max_wal_senders, '7');
  assert.equal(settings.work_mem, '8MB');
  assert.equal(settings.shared_preload_libraries, 'pg_stat_statements,auto_explain');
  assert.equal(settings.wal_retrieve_retry_interval, '100ms');
  const forced = testSpec();
  forced.postgresql.parameters = { ssl: 'off', fsync: 'off', port: '1', log_destination: 'csvlog' };
  const owned = parameters(forced, context);
  assert.equal(owned.ssl, 'on');
  assert.equal(owned.fsync, 'on');
  assert.equal(owned.port, '5432');
  assert.equal(owned.log_destination, 'stderr');
});

test('older versions get no setting that they do not know', () => {
  const settings = parameters(testSpec(), { ...context, major: 11 });
  assert.equal(settings.wal_keep_size, undefined);
  assert.equal(settings.wal_keep_segments, '32');
  assert.equal(settings.ssl_min_protocol_version, undefined);
});

test('access: our lines first, the user between, passwords over TLS last, nothing without TLS', () => {
  const spec = testSpec({
    pg_hba: ['hostssl app app 10.0.0.0/8 cert', 'a line\nwith a break'],
    pg_ident: ['m a b'],
  });
  const lines = renderHba(spec, 'postgres')
    .split('\n')
    .filter((line) => line && !line.startsWith('#'))
    .map((line) => line.replace(/ +/g, ' '));
  assert.deepEqual(lines, [
    'local all postgres peer map=pgherd_local',
    'hostssl postgres streaming_replica all cert',
    'hostssl replication streaming_replica all cert',
    'host all streaming_replica all reject',
    'hostssl app app 10.0.0.0/8 cert',
    'a line with a break',
    'hostssl all all all scram-sha-256',
    'local all all scram-sha-256',
  ]);
  assert.match(renderIdent(spec, 'postgres'), /^pgherd_local "postgres" postgres\nm a b$/m);
  assert.match(renderHba(spec, undefined), /^local +all +postgres +trust$/m);
});

test('a replica reaches its upstream by address and checks the name', () => {
  const text = upstreamConninfo(
    { name: 'demo-2', address: '10.0.0.2' },
    { layout, serverName: 'demo-rw', port: 5432, major: 15 },
    { applicationName: 'demo-1' },
  );
  for (const part of [
    "host='demo-rw'",
    "hostaddr='10.0.0.2'",
    "sslmode='verify-full'",
    "application_name='demo-1'",
    "user='streaming_replica'",
    "options='-c tcp_user_timeout=10000'",
  ]) {
    assert.ok(text.includes(part), part);
  }
  assert.doesNotMatch(text, /dbname/);
  assert.equal(slotName('demo-2'), '_pgherd_demo_2');
});

test('a verifier is that of its password and of no other', async () => {
  const verifier = await scramVerifier('pass word €');
  assert.match(verifier, /^SCRAM-SHA-256\$4096:/);
  assert.equal(await scramMatches(verifier, 'pass word €'), true);
  assert.equal(await scramMatches(verifier, 'pass word'), false);
  assert.equal(await scramMatches(null, 'x'), false);
  assert.equal(await scramMatches('md5abc', 'x'), false);
});

test('how much WAL is kept depends on the size of its volume', () => {
  const of = (sizeGiB: number, ownVolume: boolean, major = 15) =>
    parameters(testSpec(), { ...context, major }, { sizeBytes: sizeGiB * 2 ** 30, ownVolume });
  const large = of(100, false);
  assert.equal(large.wal_keep_size, '512MB');
  assert.equal(large.max_slot_wal_keep_size, '24576MB');
  assert.equal(large.max_wal_size, undefined);
  const small = of(1, false);
  assert.equal(small.wal_keep_size, '96MB');
  assert.equal(small.max_slot_wal_keep_size, '256MB');
  assert.equal(small.max_wal_size, '192MB');
  assert.equal(small.min_wal_size, '80MB');
  assert.equal(of(1, true).max_slot_wal_keep_size, '512MB');
  const tiny = of(0.25, false);
  assert.deepEqual([tiny.wal_keep_size, tiny.max_wal_size, tiny.min_wal_size], ['64MB', '64MB', '32MB']);
  assert.equal(of(1, false, 12).max_slot_wal_keep_size, undefined);
});
