/** Operations: asking for one, and following it to its end. */
import { randomBytes } from 'node:crypto';
import { API_VERSION, isFinished, LABEL_CLUSTER, OPERATION_KIND, type OperationSpec } from '@pgherd/api';
import { type Client, isKubeError } from '@pgherd/kube';
import type { Command } from 'commander';
import { type ConnectionOptions, connect } from './connection.ts';
import { CliError } from './errors.ts';
import { OperationKind, type OperationObject } from './kinds.ts';
import { timeoutOption, withConnection, withOutput } from './options.ts';
import { print, printJson, startProgress } from './output.ts';
import { howFar } from './progress-text.ts';
import { waitFor } from './wait.ts';

const NOT_TAKEN_UP = 'the operator has not taken it up yet';

/** What every command that asks for an Operation understands; see withOperation. */
export interface OperationOptions extends ConnectionOptions {
  wait: boolean;
  timeout: number;
  output?: string;
  yes?: boolean;
}

/** Adds the options of OperationOptions; `longest`: how long the command waits, such as 10m. */
export function withOperation(command: Command, longest = '10m'): Command {
  return withOutput(
    withConnection(
      command
        .option('-y, --yes', 'do not ask')
        .option('--no-wait', 'return at once')
        .addOption(timeoutOption('how long to wait for the end', longest)),
    ),
  );
}

export interface RunOptions {
  /** False: it is only asked for. */
  wait: boolean;
  timeoutMs?: number;
  /** What it does at the moment, in words. */
  onProgress?: (text: string) => void;
  signal?: AbortSignal;
}

/**
 * Asks for an Operation and follows it to its end.
 *
 * @returns it as last seen, whether it Succeeded or Failed
 * @throws {CliError} `timeout` when it has not ended in time; it goes on by itself
 */
async function runOperation(
  client: Client,
  namespace: string,
  spec: OperationSpec,
  options: RunOptions,
): Promise<OperationObject> {
  const made = await createOperation(client, namespace, spec);
  return options.wait ? followOperation(client, made, options) : made;
}

/** Asks for an Operation; CliError `notFound` where Kubernetes does not know the kind. */
export async function createOperation(
  client: Client,
  namespace: string,
  spec: OperationSpec,
): Promise<OperationObject> {
  const suffix = randomBytes(4).toString('hex');
  const operation = {
    apiVersion: API_VERSION,
    kind: OPERATION_KIND,
    metadata: {
      name: `${spec.cluster}-${spec.type.toLowerCase()}-${suffix}`,
      namespace,
      labels: { [LABEL_CLUSTER]: spec.cluster },
    },
    spec,
  };
  try {
    return await client.create(OperationKind, operation, { fieldValidation: 'Strict' });
  } catch (error) {
    if (!isKubeError(error, 'NotFound')) throw error;
    throw new CliError('notFound', 'This Kubernetes cluster does not know the kind Operation of pgherd.io.', {
      hint: 'Install this version of the operator first; without Kubernetes, `pgherd local up` does it.',
      cause: error,
    });
  }
}

async function followOperation(
  client: Client,
  made: OperationObject,
  options: RunOptions,
): Promise<OperationObject> {
  const { name, namespace } = made.metadata;
  const what = `${made.spec.type} of ${made.spec.cluster}`;
  let seen = NOT_TAKEN_UP;
  let takenUp = false;
  try {
    return await waitFor(
      async () => {
        const operation = await client.get(OperationKind, { namespace, name });
        if (isFinished(operation)) return operation;
        takenUp = operation.status?.phase !== undefined;
        seen = progressText(operation);
        options.onProgress?.(seen);
        return undefined;
      },
      {
        timeoutMs: options.timeoutMs ?? 600_000,
        everyMs: 100,
        signal: options.signal,
        describe: () => `${what}: ${seen}`,
        hint: `It goes on by itself: see \`pgherd show workflow ${name} -n ${namespace}\`.`,
      },
    );
  } catch (error) {
    if (takenUp || !(error instanceof CliError) || error.code !== 'timeout') throw error;
    // Left lying, it would be carried out when nobody expects it any more.
    await withdraw(client, made);
    throw new CliError('timeout', `${error.message}; it is withdrawn`, {
      cause: error,
      hint: `No operator seems to run, at least none that looks after namespace ${namespace}: see \`kubectl get pods -A -l app.kubernetes.io/name=pgherd\`.`,
    });
  }
}

/** Deletes an Operation that nobody is to carry out any more. */
export async function withdraw(client: Client, { metadata }: OperationObject): Promise<void> {
  try {
    await client.delete(OperationKind, metadata);
  } catch (error) {
    if (!isKubeError(error, 'NotFound')) throw error;
  }
}

/** One line: the step and what it does; for one that waits for its turn, why. */
export function progressText({ status }: OperationObject, now = Date.now()): string {
  const step = status?.steps?.find(({ state }) => state === 'Running');
  if (!step) return status?.message ?? NOT_TAKEN_UP;
  const { progress, startedAt, message = '' } = step;
  const far = howFar(progress, startedAt, now);
  return `${step.name}: ${message}${far ? `: ${far}` : ''}`;
}

/**
 * What a command does with an Operation from beginning to end: progress on standard error, the outcome on standard
 * output. Throws CliError `failed` when it Failed.
 */
export async function performOperation(spec: OperationSpec, options: OperationOptions): Promise<void> {
  const { client, namespace } = await connect(options);
  if (!options.wait) {
    const made = await runOperation(client, namespace, spec, { wait: false });
    if (options.output === 'json') printJson(made);
    else print(`operation/${made.metadata.name} created`);
    return;
  }
  const progress = startProgress(`${spec.type} of cluster ${spec.cluster}`);
  let ended: OperationObject;
  try {
    ended = await runOperation(client, namespace, spec, {
      wait: true,
      timeoutMs: options.timeout,
      onProgress: progress.update,
    });
  } catch (error) {
    const late = error instanceof CliError && error.code === 'timeout';
    progress.fail(`${spec.type} of cluster ${spec.cluster} ${late ? 'has not ended' : 'failed'}`);
    throw error;
  }
  endOperation(ended, namespace, progress, options);
}

/** Says what came of an Operation that has ended; throws CliError `failed` when it Failed. */
export function endOperation(
  ended: OperationObject,
  namespace: string,
  progress: ReturnType<typeof startProgress>,
  options: OperationOptions,
): void {
  const { spec } = ended;
  const { phase, message = '' } = ended.status ?? {};
  if (phase === 'Succeeded') progress.done(message);
  else progress.fail(`${spec.type} failed`);
  if (options.output === 'json') printJson(ended);
  if (phase === 'Succeeded') return;
  throw new CliError('failed', `${spec.type} of cluster ${spec.cluster} failed: ${message}`, {
    hint: `See its steps with \`pgherd show workflow ${ended.metadata.name} -n ${namespace}\`.`,
  });
}
