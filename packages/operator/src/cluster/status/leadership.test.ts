/** What is said when nobody leads: whether an election is safe, and what makes an end of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { healthyFacts, instance, testLease, testReport } from '../../testing/facts.ts';
import type { Facts } from '../facts.ts';
import { headless } from './leadership.ts';

const rules = [{ method: 'any' as const, number: 1, names: ['demo-2', 'demo-3'], required: true }];

/** The primary has not renewed for long; these replicas answer. */
function silent(required: boolean, ...answering: string[]): Facts {
  const facts = healthyFacts();
  facts.leaseUnchangedMs = 60_000;
  facts.lease = testLease('demo-1', ['demo-1', 'demo-2', 'demo-3'], {
    ...(required ? { rules } : {}),
  });
  for (const each of facts.instances) {
    delete each.report;
    each.silent = 'no answer in time';
  }
  for (const name of answering)
    instance(facts, name).report = testReport(name, 'replica', {
      streaming: false,
      receivedLsn: name === 'demo-2' ? '0/5000000' : '0/6000000',
    });
  return facts;
}

const said = (facts: Facts) =>
  headless({ facts, plan: { actions: [], intent: { what: 'steady' } }, failures: [] });

test('with a quorum the instances elect', () => {
  assert.match(said(silent(true, 'demo-2', 'demo-3'))?.reason ?? '', /the instances elect another/);
  assert.match(said(silent(false, 'demo-3'))?.reason ?? '', /the instances elect another/);
});

test('where only those answer that are never to lead, that is said, and the way on', () => {
  const facts = silent(false, 'demo-2', 'demo-3');
  facts.spec.failoverPriority = { 'demo-2': 0, 'demo-3': 0 };
  assert.match(
    said(facts)?.reason ?? '',
    /nobody takes over: demo-2, demo-3 never lead .*: raise that of one, or .*pgherd promote demo demo-3 --accept-loss/,
  );
  facts.spec.failoverPriority = { 'demo-2': 0 };
  assert.match(said(facts)?.reason ?? '', /the instances elect another/);
});

test('what has hindered an election for a while is told; where maximumLag does, with the command', () => {
  const facts = silent(false, 'demo-2', 'demo-3');
  const tell = (name: string, what: string, secondsAgo: number) => {
    const since = new Date(facts.now - secondsAgo * 1000).toISOString();
    Object.assign(instance(facts, name).report!, { waiting: { what, since } });
  };
  const lag = 'cannot take over (silent): 99 bytes behind the last leader, more than maximumLag allows';
  tell('demo-2', lag, 1);
  assert.match(said(facts)?.reason ?? '', /elect another$/, 'an ordinary election is no news');
  tell('demo-2', lag, 5);
  tell('demo-3', 'the end of spec.failoverDelay (30 s) before another may take over', 5);
  assert.match(
    said(facts)?.reason ?? '',
    /: demo-2 cannot .*; demo-3 waits for the end of spec.failoverDelay \(30 s\)/,
  );
  assert.doesNotMatch(said(facts)?.reason ?? '', /accept-loss/);
  tell('demo-3', lag, 5);
  assert.match(
    said(facts)?.reason ?? '',
    /nobody takes over: demo-2 cannot .*maximumLag allows\. .*pgherd promote demo demo-3 --accept-loss -n default/,
  );
});

test('without one it is said who is missed, and the command that makes an end of it', () => {
  const verdict = said(silent(true, 'demo-3'));
  assert.equal(verdict?.phase, 'Failover');
  assert.match(
    verdict?.reason ?? '',
    /no election is safe: 2 of demo-2, demo-3 have to answer, and demo-2 does not\. .*pgherd promote demo demo-3 --accept-loss -n default/,
  );
});

test('the furthest of those that answer is proposed', () => {
  const facts = silent(true, 'demo-2', 'demo-3');
  facts.lease!.rules = [{ ...rules[0]!, names: ['demo-2', 'demo-3', 'demo-4'] }];
  assert.match(said(facts)?.reason ?? '', /demo-4 does not\. .*promote demo demo-3/);
});

test('the clock of the holder says nothing: only a Lease that stands still has expired', () => {
  for (const hours of [-3, 3]) {
    const facts = silent(true, 'demo-2', 'demo-3');
    facts.lease!.renewTime = new Date(facts.now + hours * 3_600_000).toISOString();
    assert.equal(said(facts)?.phase, 'Failover', `${hours} h, stands still`);
    facts.leaseUnchangedMs = 1_500;
    assert.equal(said(facts)?.phase, 'Degraded', `${hours} h, is renewed`);
  }
});

test('where all are fenced nobody is to be elected', () => {
  const facts = silent(true, 'demo-2');
  facts.lease = testLease(null, ['demo-1', 'demo-2', 'demo-3'], { rules });
  facts.cluster.metadata.annotations = { 'pgherd.io/fenced': '["*"]' };
  assert.match(said(facts)?.reason ?? '', /every instance is fenced.*pgherd fencing off demo all/);
});
