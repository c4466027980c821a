import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FINALIZER_LAST_WAL } from '@pgherd/api';
import { healthyFacts } from '../testing/facts.ts';
import type { CallAnswer } from './connections.ts';
import { sayFarewell } from './farewell.ts';

test('a primary that could not archive its last WAL is asked again; the cluster goes when it could', async () => {
  const facts = healthyFacts({ backup: { repositories: [{ name: 'local', volume: { size: '1Gi' } }] } });
  facts.cluster.metadata.finalizers = [FINALIZER_LAST_WAL];
  facts.cluster.metadata.deletionTimestamp = new Date(facts.now - 1_000).toISOString();
  const answers: (CallAnswer | Error)[] = [
    new Error('connection reset'),
    { status: 500, body: { error: 'the archive does not take it' } },
    { status: 200, body: {} },
  ];
  const told: string[] = [];
  let released = 0;
  const look = () =>
    sayFarewell(
      {
        event: Object.assign((_: object, __: string, reason: string) => void told.push(reason), {
          flush: async () => {},
        }),
        ask: async () => {
          const answer = answers.shift()!;
          if (answer instanceof Error) throw answer;
          return answer;
        },
        release: async () => {
          released++;
        },
      },
      facts,
    );
  assert.ok((await look())?.afterMs);
  assert.ok((await look())?.afterMs);
  assert.equal(released, 0);
  assert.equal(await look(), undefined);
  assert.equal(released, 1);
  assert.deepEqual(told, ['LastWalWaits', 'LastWalWaits', 'LastWalArchived']);
});
