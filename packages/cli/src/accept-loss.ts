/**
 * Making an instance the primary whatever is lost, also where the operator went with the primary's node: the
 * instances go by a mark on the Cluster, and need the operator for nothing else.
 */
import {
  ANNOTATION_PROMOTE,
  isFenced,
  isFinished,
  isInMaintenance,
  type LeaseRecord,
  type OperationSpec,
  walBytesBetween,
} from '@pgherd/api';
import type { Client } from '@pgherd/kube';
import { instancePods, isRunning, leaseRecord } from './clusters.ts';
import { CliError } from './errors.ts';
import { ClusterKind, OperationKind, type OperationObject } from './kinds.ts';
import {
  createOperation,
  endOperation,
  type OperationOptions,
  progressText,
  withdraw,
} from './operations.ts';
import { print, printJson, startProgress } from './output.ts';
import { ask, type Observed, observe } from './status/observe.ts';
import { waitFor } from './wait.ts';

/** An operator that lives has taken an Operation up within a fraction of this, in milliseconds. */
const NO_OPERATOR_MS = 6_000;

/** Why the mark may not be put without the operator; undefined when it may. Pure. */
export function refusal({ cluster, lease, answers }: Observed, target: string): string | undefined {
  const known = cluster.status?.instanceNames ?? [];
  if (!lease) return 'its Lease cannot be read, and without it nobody can lead';
  if (!known.includes(target)) return `it has no instance ${target}; it has: ${known.join(', ') || 'none'}`;
  if (isFenced(cluster, target)) return `${target} is fenced`;
  if (isInMaintenance(cluster)) return 'it is in maintenance';
  const primary = lease.holder && lease.leader?.name;
  if (primary && answers.get(primary)?.report?.role === 'primary')
    return `${primary} is its primary and answers: hand over without --accept-loss`;
  const { report, problem } = answers.get(target) ?? {};
  if (!report) return `${target} does not answer${problem ? `: ${problem}` : ''}`;
  return undefined;
}

/** What is known of the commits that would be lost, in words: what the last primary had, and who has more. Pure. */
export function lossText({ lease, answers }: Observed, target: string): string {
  const mine = answers.get(target)?.report?.receivedLsn;
  const last = lease?.leader?.name;
  if (!mine) return `how much WAL ${target} has is not known`;
  const lacking = walBytesBetween(lease?.position, mine) ?? 0n;
  const lines = [
    `${target} has WAL up to ${mine}`,
    lacking > 0n
      ? `${last} had ${lacking} bytes more when it last said so`
      : `${last} had not said that it had more, and may have`,
  ];
  for (const [name, { report }] of answers) {
    const more = name === target ? 0n : (walBytesBetween(report?.receivedLsn, mine) ?? 0n);
    if (more > 0n) lines.push(`${name} answers and has ${more} bytes more: better promote that`);
  }
  return lines.join('; ');
}

/** Asks for the promotion, and follows it to its end; throws CliError when it is refused or fails. */
export async function acceptLoss(
  client: Client,
  namespace: string,
  { name, target }: { name: string; target: string },
  options: OperationOptions,
): Promise<void> {
  const spec: OperationSpec = {
    cluster: name,
    type: 'Switchover',
    switchover: { target, acceptLoss: true, force: true },
  };
  const loss = lossText(await observe(client, namespace, name), target);
  const made = await createOperation(client, namespace, spec);
  const began = performance.now();
  const progress = startProgress(`Promotion of ${target}`);
  let mark: LeaseRecord | undefined;
  let seen = progressText(made);
  let takenUp = false;
  try {
    const ended = await waitFor<OperationObject | 'byTheInstances'>(
      async () => {
        const operation = await client.get(OperationKind, { namespace, name: made.metadata.name });
        if (isFinished(operation)) return operation;
        seen = progressText(operation);
        takenUp = operation.status?.phase !== undefined;
        if (mark && (await leads(client, namespace, name, target, mark.epoch))) return 'byTheInstances';
        if (!mark && !takenUp && performance.now() - began > NO_OPERATOR_MS) {
          mark = await putMark(client, namespace, name, target, made.metadata.uid!);
        }
        if (mark) seen = `no operator answers; ${target} was told by a mark on the Cluster and takes over`;
        progress.update(seen);
        // Without waiting there is nothing more to be done once somebody has taken it up.
        return !options.wait && (mark || takenUp) ? operation : undefined;
      },
      {
        timeoutMs: options.timeout,
        describe: () => seen,
        hint: `See \`pgherd status ${name} -n ${namespace}\`.`,
        giveUp: (error) => error instanceof CliError,
      },
    );
    if (ended !== 'byTheInstances') {
      if (isFinished(ended)) {
        endOperation(ended, namespace, progress, options);
        if (options.output !== 'json') print(`Before: ${loss}.`);
        return;
      }
      progress.done(`Promotion of ${target} is under way`);
      return;
    }
    // Left lying, it would be carried out once more by an operator that comes back much later.
    await withdraw(client, made);
    progress.done(`${target} is the primary now, without an operator`);
    if (options.output === 'json') printJson({ cluster: name, newPrimary: target, loss });
    else print(`Before: ${loss}.\n${await afterwards(client, namespace, name, target)}`);
  } catch (error) {
    // An operator that comes back much later must not carry it out then.
    if (!takenUp) await withdraw(client, made).catch(() => undefined);
    const failed = error instanceof CliError && error.code !== 'timeout';
    progress.fail(`Promotion of ${target} ${failed ? 'failed' : 'has not ended'}`);
    throw error;
  }
}

/** The same mark that the operator would put: it holds for this epoch and no other. */
async function putMark(
  client: Client,
  namespace: string,
  name: string,
  target: string,
  id: string,
): Promise<LeaseRecord> {
  const observed = await observe(client, namespace, name);
  const why = refusal(observed, target);
  if (why)
    throw new CliError(
      'refused',
      `No operator answers, and ${target} is not promoted without: cluster ${name}: ${why}.`,
      {
        hint: `See \`pgherd status ${name} -n ${namespace}\`.`,
      },
    );
  const lease = observed.lease!;
  const value = JSON.stringify({ id, to: target, epoch: lease.epoch });
  const { resourceVersion } = observed.cluster.metadata;
  const body = { metadata: { resourceVersion, annotations: { [ANNOTATION_PROMOTE]: value } } };
  await client.patch(ClusterKind, { namespace, name }, { type: 'merge', body, fieldManager: 'pgherd' });
  return lease;
}

/** What there is to know where no operator says it. */
async function afterwards(client: Client, namespace: string, name: string, target: string): Promise<string> {
  const { cluster, answers } = await observe(client, namespace, name);
  const primary = answers.get(target)?.report;
  const streams = primary?.replication.some(({ state }) => state === 'streaming') === true;
  const { synchronous } = cluster.spec.postgresql ?? {};
  const waits =
    synchronous && synchronous.dataDurability !== 'preferred' && primary?.syncNames && !streams
      ? `\nCommits wait for a replica (${primary.syncNames}), and none streams. To let them go on: kubectl patch cluster.pgherd.io ${name} -n ${namespace} --type merge -p '{"spec":{"postgresql":{"synchronous":{"dataDurability":"preferred"}}}}'`
      : '';
  return `No operator answers: nothing of the cluster is repaired or changed before one does.${waits}`;
}

async function leads(
  client: Client,
  namespace: string,
  name: string,
  target: string,
  epoch: number,
): Promise<boolean> {
  const lease = await leaseRecord(client, namespace, name);
  if (!lease?.holder || lease.leader?.name !== target || lease.epoch <= epoch) return false;
  const pod = (await instancePods(client, namespace, name)).find((each) => each.metadata.name === target);
  return pod !== undefined && isRunning(pod) && (await ask(client, pod)).report?.role === 'primary';
}
