/** A Cluster from the flags of a command line. Pure. */
import { API_VERSION, CLUSTER_KIND } from '@pgherd/api';
import type { KubeObject } from '@pgherd/kube';
import type { CustomConfig } from './custom-config.ts';
import { CliError } from './errors.ts';

export interface ManifestFlags {
  instances?: number;
  image?: string;
  storage: string;
  walStorage?: string;
  storageClass?: string;
  parameter?: string[];
  sync?: string;
  database?: string;
  owner?: string;
}

/** The manifest that the flags describe; leaves out what has a default. A flag counts before `custom`. */
export function manifestOf(
  name: string,
  namespace: string,
  flags: ManifestFlags,
  custom?: CustomConfig,
): KubeObject {
  const volume = (size: string) => ({
    size,
    ...(flags.storageClass ? { storageClass: flags.storageClass } : {}),
  });
  const parameters = { ...custom?.parameters, ...parametersOf(flags.parameter ?? []) };
  const postgresql = {
    ...(isEmpty(parameters) ? {} : { parameters }),
    ...(custom?.hba.length ? { pg_hba: custom.hba } : {}),
    ...(flags.sync ? { synchronous: synchronousOf(flags.sync) } : {}),
  };
  const initdb = {
    ...(flags.database ? { database: flags.database } : {}),
    ...(flags.owner ? { owner: flags.owner } : {}),
    ...(custom?.setupSql ? { postInitSQLRefs: { configMapRefs: [custom.setupSql] } } : {}),
  };
  const spec = {
    ...(flags.instances === undefined ? {} : { instances: flags.instances }),
    ...(flags.image ? { imageName: flags.image } : {}),
    storage: volume(flags.storage),
    ...(flags.walStorage ? { walStorage: volume(flags.walStorage) } : {}),
    ...(isEmpty(postgresql) ? {} : { postgresql }),
    ...(isEmpty(initdb) ? {} : { bootstrap: { initdb } }),
  };
  return { apiVersion: API_VERSION, kind: CLUSTER_KIND, metadata: { name, namespace }, spec } as KubeObject;
}

function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0;
}

function parametersOf(given: string[]): Record<string, string> {
  const pairs = given.map((pair) => {
    const at = pair.indexOf('=');
    if (at < 1) {
      throw new CliError('usage', `--parameter ${pair}: a name, = and a value are needed.`, {
        hint: 'For example: --parameter work_mem=16MB',
      });
    }
    return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()] as const;
  });
  return Object.fromEntries(pairs);
}

/** `1`, `any:2`, `first:1`, and with `,preferred` at the end a rule that degrades. */
function synchronousOf(text: string): object {
  const match = /^(?:(any|first):)?(\d+)(?:,(required|preferred))?$/.exec(text);
  if (!match) {
    throw new CliError('usage', `--sync ${text} is not understood.`, {
      hint: 'Give how many replicas must confirm a commit: --sync 1, --sync first:1, or --sync any:1,preferred',
    });
  }
  return {
    method: match[1] ?? 'any',
    number: Number(match[2]),
    ...(match[3] ? { dataDurability: match[3] } : {}),
  };
}
