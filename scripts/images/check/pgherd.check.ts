import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../command.ts';
import { opened } from './opened.ts';
import { inSandbox, outputOf, type Sandbox } from './sandbox.ts';

const it = opened('pgherd');
const USER = 65532;

function pod(changes: Partial<Sandbox> = {}): Sandbox {
  return { root: it.image.root, uid: USER, env: it.image.config.config.Env, ...changes };
}

test('every digest in the archive is true, and docker finds what ctr finds', () => {
  assert.deepEqual(it.image.problems, []);
});

test('skopeo reads it both ways', () => {
  for (const transport of ['oci-archive', 'docker-archive']) {
    const labels = JSON.parse(run('skopeo', ['inspect', `${transport}:${it.file}`])).Labels;
    assert.equal(labels['org.opencontainers.image.title'], 'pgherd');
  }
});

test('it runs as nobody in particular, never as root', () => {
  assert.equal(it.image.config.config.User, `${USER}:${USER}`);
});

test('Node starts, knows its own path, and leaves nothing in the environment', () => {
  assert.equal(outputOf(pod(), ['/pgherd/bin/node', '--version']), process.version);
  const script = 'console.log(process.execPath, process.env.LD_LIBRARY_PATH)';
  assert.equal(outputOf(pod(), ['/pgherd/bin/node', '-e', script]), '/pgherd/bin/node undefined');
});

test('the entry point is the command line', () => {
  const { Entrypoint, Cmd } = it.image.config.config;
  assert.match(outputOf(pod(), [...Entrypoint!, ...Cmd!]), /Usage: pgherd/);
});

test('it prints the manifests that install it', () => {
  assert.match(outputOf(pod(), ['/usr/local/bin/pgherd', 'install', 'generate']), /kind: Deployment/);
});

test('the operator starts, and says what it misses', () => {
  const result = inSandbox(pod(), ['/pgherd/bin/node', '/pgherd/operator.mjs']);
  assert.equal(result.status, 1);
  assert.match(result.stderr, /KUBERNETES_SERVICE_HOST is not set/);
});

test('its folder can be copied by another user, and runs in an otherwise empty root', () => {
  const shared = it.volume(26);
  outputOf(pod({ uid: 26, volumes: { '/shared': shared } }), ['cp', '-r', '/pgherd/.', '/shared/']);
  assert.deepEqual(readdirSync(shared).sort(), readdirSync(join(it.image.root, 'pgherd')).sort());
  const empty = it.volume(26);
  for (const folder of ['pgherd', 'dev', 'proc', 'tmp', 'run']) mkdirSync(join(empty, folder));
  const bare: Sandbox = { root: empty, uid: 26, mounts: { '/pgherd': shared } };
  const script = `
    const { lookup } = require('node:dns/promises');
    const { createHash } = require('node:crypto');
    console.log(createHash('sha256').update('').digest('hex').slice(0, 8), new Intl.NumberFormat('de').format(1234.5));
    lookup('127.0.0.1').then(({ address }) => console.log(address));`;
  assert.equal(outputOf(bare, ['/pgherd/bin/node', '-e', script]), 'e3b0c442 1.234,5\n127.0.0.1');
});

test('the guard and the manager start where there is no glibc and the shell is busybox', () => {
  // The image itself is such a place: its only C library is the one in /pgherd/lib.
  const result = inSandbox(pod({ uid: 26, asInit: true, timeoutMs: 4_000 }), ['/pgherd/guard']);
  assert.match(result.stdout + result.stderr, /POD_NAME is not set/);
  assert.match(result.stdout, /the manager has ended with code/);
});

test('nothing in it is written by anyone but root, or raises rights', () => {
  const wrong = run('find', [
    it.image.root,
    '-xdev',
    '(',
    '-perm',
    '/6000',
    '-o',
    '-perm',
    '-0002',
    ')',
    '-not',
    '-type',
    'l',
  ]);
  assert.deepEqual(wrong.trim().split('\n'), [join(it.image.root, 'tmp')]);
});

test('the licences of what it carries are in it', () => {
  const doc = join(it.image.root, 'usr/share/doc');
  for (const path of [
    'libc6/copyright',
    'busybox-static/copyright',
    'nodejs/copyright',
    'pgherd/third-party-licences',
  ])
    assert.ok(readFileSync(join(doc, path), 'utf8').length > 500, path);
});
