/** Plays the instances of a cluster towards the operator: pods that run, a leader, answers. No database. */
import {
  ANNOTATION_EPOCH,
  type InstanceReport,
  instanceLabels,
  type LeaseRecord,
  names,
  readLease,
  writeLease,
} from '@pgherd/api';
import { type Client, type Kind, kinds, type Lease, type Pod } from '@pgherd/kube';
import type { Answer, Question, Reports } from '../cluster/reports.ts';
import { eventually } from './api.ts';
import { testReport } from './facts.ts';

export interface Stage {
  reports: Reports;
  /** Every answer by instance; a test changes them at will. */
  answers: Map<string, InstanceReport>;
  questions: Question[];
  /** The pod is there and runs, ready or not. */
  run(instance: string, role?: 'primary' | 'replica', more?: object): Promise<Pod>;
  /** The instance takes the Lease and points -rw at itself; members as given. */
  lead(instance: string, members: string[], more?: Partial<LeaseRecord>): Promise<void>;
  lease(): Promise<LeaseRecord>;
}

export function createStage(admin: Client, cluster: string, namespace = 'default'): Stage {
  const answers = new Map<string, InstanceReport>();
  const questions: Question[] = [];
  const own = names(cluster);
  const leaseRef = { namespace, name: own.lease };
  const reports: Reports = {
    async ask(question) {
      questions.push(question);
      const found = new Map<string, Answer>();
      for (const { name, podUID } of question.instances) {
        const report = answers.get(name);
        found.set(name, report?.podUID === podUID ? { report } : { silent: 'no answer yet' });
      }
      return found;
    },
    forget() {},
  };
  const pod = (name: string) =>
    eventually(`pod ${name}`, async () => {
      const found = await admin.find(kinds.Pod, { namespace, name });
      return found?.metadata.deletionTimestamp ? undefined : found;
    });
  return {
    reports,
    answers,
    questions,
    async run(name, role = 'replica', more = {}) {
      const made = await pod(name);
      const report = testReport(name, role, { podUID: made.metadata.uid!, ...more });
      answers.set(name, report);
      const status = {
        phase: 'Running',
        podIP: `10.0.0.${name.split('-').at(-1)}`,
        conditions: [{ type: 'Ready', status: report.ready ? 'True' : 'False' }],
      };
      return admin.updateStatus(kinds.Pod as Kind<Pod>, { ...made, status });
    },
    async lead(name, members, more = {}) {
      const leader = await pod(name);
      const lease = await eventually('the Lease', () => admin.find(kinds.Lease, leaseRef));
      const before = readLease(lease as never);
      const uid = leader.metadata.uid!;
      const record: LeaseRecord = {
        ...before,
        holder: `${uid}/1`,
        epoch: before.epoch + 1,
        systemID: '7400000000000000001',
        leader: { name, podUID: uid, address: '10.0.0.1' },
        members: members.map((member) => ({ name: member, incarnation: `inc-${member}` })),
        ...more,
      };
      await admin.update(kinds.Lease, writeLease(lease as never, record) as unknown as Lease);
      const body = {
        metadata: { annotations: { [ANNOTATION_EPOCH]: String(record.epoch) } },
        spec: { selector: instanceLabels(cluster, name) },
      };
      const rw = { namespace, name: own.rw };
      await eventually('the -rw Service', () => admin.find(kinds.Service, rw));
      await admin.patch(kinds.Service, rw, { type: 'merge', body });
    },
    lease: async () => readLease((await admin.get(kinds.Lease, leaseRef)) as never),
  };
}
