/** The Job that runs pgbench against a cluster. Pure. */
import { effective, names, POSTGRES_PORT, POSTGRES_UID } from '@pgherd/api';
import type { EnvVar, Job } from '@pgherd/kube';
import type { ClusterObject } from './kinds.ts';

/** Not a label of the cluster: the pods of those are its instances. */
const LABEL_PGBENCH = 'pgherd.io/pgbench';

const CA = '/etc/pgbench/ca.crt';
const LOGIN = '/etc/pgbench-login';
const PASSFILE = '/tmp/pgpass';
/** A finished Job is deleted after this. */
const KEEP_SECONDS = 3600;
const DEFAULT = 'pgbench -i -s 1 && exec pgbench -P 5 -c 8 -j 2 -T 30';

/**
 * Shell that makes libpq's password file out of one that holds the bare password. In the environment every child, and
 * every look at the container, would have it.
 */
export function logIn(password: string, passfile: string): string {
  return `umask 077 && printf '*:*:*:*:%s\\n' "$(sed 's/[\\\\:]/\\\\&/g' ${password})" >${passfile}`;
}

/**
 * The Job: pgbench of the cluster's own image, logged in as the application, over TLS to `NAME-rw`.
 *
 * @param args arguments of pgbench; empty: tables are made, and a test of 30 seconds is run on them
 */
export function pgbenchJob(cluster: ClusterObject, name: string, args: string[]): Job {
  const spec = effective(cluster);
  const { namespace } = cluster.metadata;
  const { secret } = spec.initdb;
  const fromSecret = (variable: string, key: string): EnvVar => ({
    name: variable,
    valueFrom: { secretKeyRef: { name: secret, key } },
  });
  const labels = { [LABEL_PGBENCH]: cluster.metadata.name };
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, ...(namespace ? { namespace } : {}), labels },
    spec: {
      backoffLimit: 0,
      ttlSecondsAfterFinished: KEEP_SECONDS,
      template: {
        metadata: { labels },
        spec: {
          restartPolicy: 'Never',
          enableServiceLinks: false,
          automountServiceAccountToken: false,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: POSTGRES_UID,
            seccompProfile: { type: 'RuntimeDefault' },
          },
          containers: [
            {
              name: 'pgbench',
              image: spec.imageName,
              command: [
                'sh',
                '-c',
                `${logIn(`${LOGIN}/password`, PASSFILE)} && ${args.length > 0 ? 'exec pgbench "$@"' : DEFAULT}`,
                'pgbench',
                ...args,
              ],
              env: [
                { name: 'PGHOST', value: names(cluster.metadata.name).rw },
                { name: 'PGPORT', value: String(POSTGRES_PORT) },
                { name: 'PGDATABASE', value: spec.initdb.database },
                fromSecret('PGUSER', 'username'),
                { name: 'PGPASSFILE', value: PASSFILE },
                { name: 'PGSSLMODE', value: 'verify-full' },
                { name: 'PGSSLROOTCERT', value: CA },
              ],
              volumeMounts: [
                { name: 'ca', mountPath: '/etc/pgbench', readOnly: true },
                { name: 'login', mountPath: LOGIN, readOnly: true },
                { name: 'tmp', mountPath: '/tmp' },
              ],
              securityContext: {
                allowPrivilegeEscalation: false,
                capabilities: { drop: ['ALL'] },
                readOnlyRootFilesystem: true,
              },
            },
          ],
          // Of the server's secret: a login of the user's own need not hold it.
          volumes: [
            {
              name: 'ca',
              secret: {
                secretName: names(cluster.metadata.name).server,
                items: [{ key: 'ca.crt', path: 'ca.crt' }],
              },
            },
            {
              name: 'login',
              secret: { secretName: secret, items: [{ key: 'password', path: 'password' }] },
            },
            { name: 'tmp', emptyDir: {} },
          ],
        },
      },
    },
  } as Job;
}
