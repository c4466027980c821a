import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Recording } from './recording.ts';

function recorded(acks: [number, number][]): Recording {
  const recording = new Recording();
  recording.take(JSON.stringify({ event: 'start', at: 0 }));
  recording.take(JSON.stringify({ event: 'acks', acks }));
  recording.take('not JSON, from somebody else');
  return recording;
}

test('the outage is the longest pause between two acknowledgements', () => {
  const recording = recorded([
    [1, 1000],
    [2, 1005],
    [3, 1800],
    [4, 1805],
    [6, 2105],
  ]);
  assert.deepEqual(recording.longestOutage(), { from: 1005, to: 1800, ms: 795 });
  assert.deepEqual(recording.longestOutage(1900), { from: 1805, to: 2105, ms: 300 });
  assert.deepEqual(
    recording.outages().map((each) => each.ms),
    [795, 300],
  );
});

test('without a second acknowledgement there is no outage to measure', () => {
  assert.equal(recorded([[1, 1000]]).longestOutage().ms, 0);
  assert.equal(recorded([[1, 1000]]).outageAfter(2000), undefined);
});

test('acknowledged ids that are not in the database are missing', () => {
  const recording = recorded([
    [1, 1],
    [2, 2],
    [5, 3],
  ]);
  assert.deepEqual(recording.missing([1, 3, 4, 5]), [2]);
});

test('a commit with warning 01000 is no acknowledgement', () => {
  const recording = new Recording();
  recording.take(JSON.stringify({ event: 'warned', at: 5, id: 7, notice: 'canceling the wait' }));
  assert.equal(recording.acknowledged, 0);
  assert.equal(recording.warned.length, 1);
});
