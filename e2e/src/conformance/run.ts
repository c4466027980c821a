/** Runs the conformance table against one API server. */
import { randomBytes } from 'node:crypto';
import { waitFor } from '@pgherd/cli';
import { type AnyObject, Client, type ClientConfig, type KubeObject, kinds } from '@pgherd/kube';
import { Transport } from '@pgherd/kube/transport';
import { table } from './rows/index.ts';
import { Api, type Row, Skipped } from './table.ts';
import { widgetDefinition } from './widgets.ts';

export interface RowResult {
  row: Row;
  result: 'passed' | 'failed' | 'skipped';
  /** Why it failed or was skipped. */
  why: string;
}

export interface ConformanceOptions {
  config: ClientConfig;
  /** Where the rows make their objects: a namespace of this name is made and deleted. */
  namespace: string;
  /** An image with a shell, for the few rows that need a running pod. */
  image: string;
}

const AT_ONCE = 8;

/** Runs all rows, several at once; each works on objects of its own. */
export async function runConformance(options: ConformanceOptions): Promise<RowResult[]> {
  const { config, namespace, image } = options;
  const client = new Client(config);
  const transport = new Transport(config);
  const group = `conformance-${randomBytes(3).toString('hex')}.pgherd.io`;
  const ground = { config, transport, namespace, group, image };
  const definition = widgetDefinition(group) as unknown as AnyObject;
  try {
    await client.create(kinds.Namespace, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace, labels: { 'pod-security.kubernetes.io/enforce': 'baseline' } },
    } as KubeObject);
    await client.create(kinds.CustomResourceDefinition, definition as never);
    await established(client, definition.metadata.name);
    await accountReady(client, namespace);
    const results: RowResult[] = new Array(table.length);
    let next = 0;
    const worker = async () => {
      while (next < table.length) {
        const index = next++;
        results[index] = await runRow(table[index] as Row, new Api(ground, `row-${index}`));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return results;
  } finally {
    await client.delete(kinds.CustomResourceDefinition, definition.metadata).catch(() => {});
    await client.delete(kinds.Namespace, { name: namespace }).catch(() => {});
    transport.close();
    client.close();
  }
}

async function runRow(row: Row, api: Api): Promise<RowResult> {
  try {
    await row.run(api);
    return { row, result: 'passed', why: '' };
  } catch (error) {
    if (error instanceof Skipped) return { row, result: 'skipped', why: error.message };
    return { row, result: 'failed', why: error instanceof Error ? error.message : String(error) };
  } finally {
    api.close();
  }
}

async function established(client: Client, name: string): Promise<void> {
  await waitFor(
    async () => {
      const { status } = (await client.get(kinds.CustomResourceDefinition, { name })) as unknown as {
        status?: { conditions?: { type: string; status: string }[] };
      };
      return (
        status?.conditions?.some((each) => each.type === 'Established' && each.status === 'True') === true
      );
    },
    { timeoutMs: 30_000, everyMs: 50, describe: () => `the definition ${name} is not established` },
  );
}

/** Pods are refused until their namespace has its service account. */
async function accountReady(client: Client, namespace: string): Promise<void> {
  await waitFor(
    async () => (await client.find(kinds.ServiceAccount, { namespace, name: 'default' })) !== undefined,
    { timeoutMs: 30_000, everyMs: 50, describe: () => `${namespace} has no service account` },
  );
}
