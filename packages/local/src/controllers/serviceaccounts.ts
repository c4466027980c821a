import { readFileSync } from 'node:fs';
import { isKubeError, kinds, type Namespace } from '@pgherd/kube';
import { pkiPaths } from '../pki.ts';
import { type Context, workQueue } from './context.ts';

/** Every namespace gets the service account `default` and the certificate authority of the API. */

const ACCOUNT = 'default';
const ROOT_CA = 'kube-root-ca.crt';

export interface NamespaceNeeds {
  account: boolean;
  rootCa: boolean;
}

/** What a namespace lacks. Pure. */
export function namespaceNeeds(
  namespace: Namespace | undefined,
  has: { account: boolean; rootCa: string | undefined },
  ca: string,
): NamespaceNeeds {
  // Nothing can be created in a namespace on its way out.
  if (!namespace || namespace.metadata.deletionTimestamp) return { account: false, rootCa: false };
  return { account: !has.account, rootCa: has.rootCa !== ca };
}

/** Runs the controller. */
export function startServiceAccounts(context: Context): void {
  const { client, caches, state } = context;
  const { namespaces, accounts, configMaps } = caches;
  const ca = readFileSync(pkiPaths(state).caCert, 'utf8');
  const queue = workQueue(context, 'serviceaccounts', reconcile);
  namespaces.onChange((namespace) => {
    if (namespace) queue.add(namespace.metadata.name);
  });
  accounts.onChange((account, old) => {
    if (!account && old?.metadata.name === ACCOUNT) queue.add(old.metadata.namespace!);
  });
  configMaps.onChange((map, old) => {
    const { name, namespace } = (map ?? old)!.metadata;
    if (name === ROOT_CA && namespace) queue.add(namespace);
  });

  async function reconcile(name: string): Promise<void> {
    const account = accounts.get(name, ACCOUNT) !== undefined;
    const map = configMaps.get(name, ROOT_CA);
    const needs = namespaceNeeds(
      namespaces.get(undefined, name),
      { account, rootCa: map?.data?.['ca.crt'] },
      ca,
    );
    if (needs.account) {
      const metadata = { namespace: name, name: ACCOUNT };
      await ignoringExisting(
        client.create(kinds.ServiceAccount, { apiVersion: 'v1', kind: 'ServiceAccount', metadata }),
      );
    }
    if (!needs.rootCa) return;
    const metadata = { ...map?.metadata, namespace: name, name: ROOT_CA };
    const wanted = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'ca.crt': ca } };
    if (map) await client.update(kinds.ConfigMap, wanted);
    else await ignoringExisting(client.create(kinds.ConfigMap, wanted));
  }
}

async function ignoringExisting(creation: Promise<unknown>): Promise<void> {
  try {
    await creation;
  } catch (error) {
    if (!isKubeError(error, 'AlreadyExists')) throw error;
  }
}
