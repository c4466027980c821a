/** Who talks to somebody who is gone is found by the kernel's own table, and ended. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { testFolder } from '../testing.ts';
import { renderBackrest, repositoryOptions } from './options.ts';
import { runBackrest } from './run.ts';
import { endStuck, stuckInodes } from './stuck.ts';

const TABLE = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0000000000000000FFFF000005020AF4:20F0 0000000000000000FFFF00000C010AF4:A5A4 01 00000018:00000000 01:00000790 00000008 1000026        0 501 2
   1: 0000000000000000FFFF000005020AF4:20F0 0000000000000000FFFF00000C010AF4:A5A5 01 00000018:00000000 01:00000790 00000007 1000026        0 502 2
   2: 0502000A:A5A6 0C01000A:20F0 01 00000018:00000000 01:00000790 00000009 1000026        0 503 2
   3: 0502000A:1538 0C01000A:A5A7 01 00000018:00000000 01:00000790 00000009 1000026        0 504 2
   4: 0502000A:20F0 00000000:0000 0A 00000000:00000000 00:00000000 00000009 1000026        0 505 2
`;

test('only what sends in vain for long enough, on either end of the port', () => {
  assert.deepEqual(stuckInodes(TABLE, 8432, 8), ['501', '503']);
  assert.deepEqual(stuckInodes('', 8432, 0), []);
});

test('its process is ended, one that is to be spared is not', async () => {
  const folder = testFolder();
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as AddressInfo;
  const place = {
    kind: 's3',
    endpoint: '127.0.0.1',
    port,
    bucket: 'b',
    region: 'r',
    uriStyle: 'path',
    path: '/p',
    keys: { id: 'k', secret: 's' },
  } as const;
  const config = join(folder, 'pgbackrest.conf');
  writeFileSync(config, renderBackrest({ global: repositoryOptions({ number: 1, place }) }));
  const reached = new Promise((resolve) => silent.once('connection', resolve));
  let pid = 0;
  const asking = runBackrest('repo-ls', {
    config,
    doing: 'asking',
    timeoutMs: 20_000,
    onStart: (child) => {
      pid = child.pid!;
    },
  });
  const refused = assert.rejects(asking, /asking/);
  await reached;
  assert.deepEqual(await endStuck({ port, spare: [pid], tries: 0 }), []);
  assert.deepEqual(await endStuck({ port: port - 1, spare: [], tries: 0 }), []);
  const began = performance.now();
  assert.deepEqual(await endStuck({ port, spare: [], tries: 0 }), [pid]);
  await refused;
  assert.ok(performance.now() - began < 10_000, 'it was not ended, it gave up');
  silent.close();
});
