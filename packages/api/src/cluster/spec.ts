/** `spec` of a Cluster: what a user asks for. */
import type { Static } from 'typebox';
import {
  bool,
  bytes,
  integer,
  map,
  number,
  object,
  oneOf,
  optional,
  type Rule,
  seconds,
  text,
} from '../schema.ts';
import { backup } from './backup-fields.ts';
import { bootstrap } from './bootstrap-fields.ts';
import { certificates } from './certificate-fields.ts';
import { DEFAULTS } from './defaults.ts';
import {
  affinity,
  env,
  envFrom,
  imagePullSecrets,
  inheritedMetadata,
  localReference,
  priorityClassName,
  resources,
  topologySpreadConstraints,
} from './pod-fields.ts';
import { postgresql } from './postgresql-fields.ts';
import { probes } from './probe-fields.ts';
import { storage } from './storage-fields.ts';

const HOUR = 3600;

const leaseTime = (description: string, minimum: number) => number(description, { minimum, maximum: 300 });

/** A CEL expression for a number of this object, or its default where it is not given. */
const given = (field: string, fallback: number) =>
  `(has(self.${field}) ? double(self.${field}) : ${fallback.toFixed(1)})`;

const LEASE = DEFAULTS.primaryLease;
const RENEW = given('renewInterval', LEASE.renewInterval);
const STOP = given('stopAfter', LEASE.stopAfter);
const GUARD = given('guardAfter', LEASE.guardAfter);
const TAKE = given('takeAfter', LEASE.takeAfter);

const primaryLease = object(
  'Times of the Lease by which instances agree on who is primary, in seconds (fractions are allowed). Shorter times fail over sooner and bear less disturbance of the network or the API. They must rise in this order: renewInterval, stopAfter, guardAfter, takeAfter.',
  {
    renewInterval: optional(leaseTime('The primary renews its Lease this often. Default: 2.', 0.1)),
    stopAfter: optional(
      leaseTime('A primary that could not renew for so long stops PostgreSQL. Default: 6.', 1),
    ),
    guardAfter: optional(
      leaseTime(
        'The guard kills what still runs of a primary that could not renew for so long. Default: 8.',
        1.2,
      ),
    ),
    takeAfter: optional(
      leaseTime('Another instance may take a Lease that was not renewed for so long. Default: 10.', 1.5),
    ),
  },
  {
    rules: [
      {
        rule: `2.0 * ${RENEW} <= ${STOP}`,
        message:
          'renewInterval must be shorter than stopAfter, half of it at most (defaults: 2 and 6), since one renewal that fails is no reason to stop: lower it, or raise stopAfter',
        fieldPath: '.renewInterval',
      },
      {
        rule: `${STOP} < ${GUARD}`,
        message:
          'stopAfter must be shorter than guardAfter (defaults: 6 and 8): lower it, or raise guardAfter',
        fieldPath: '.stopAfter',
      },
      {
        rule: `${GUARD} < ${TAKE}`,
        message:
          'guardAfter must be shorter than takeAfter (defaults: 8 and 10), so that an old primary is dead before a new one leads: lower it, or raise takeAfter',
        fieldPath: '.guardAfter',
      },
    ],
  },
);

const INSTANCES = `(has(self.instances) ? self.instances : ${DEFAULTS.instances})`;
const STOP_DELAY = `(has(self.stopDelay) ? self.stopDelay : ${DEFAULTS.stopDelay})`;

const PARAMETERS = 'self.postgresql.parameters';

/** With fewer, replicas could not stream, and a primary that has restarted with them would wait for ever. */
function enoughForReplicas(parameter: string): Rule {
  const value = `${PARAMETERS}['${parameter}']`;
  const enough = `${value}.matches('^[0-9]{1,6}$') && int(${value}) >= 2 * ${INSTANCES}`;
  return {
    rule: `!has(self.postgresql) || !has(${PARAMETERS}) || !('${parameter}' in ${PARAMETERS}) || (${enough})`,
    message: `${parameter} must be a whole number of at least twice spec.instances, since replicas stream and are copied by it: raise it, or remove it (default: 32)`,
    fieldPath: '.postgresql.parameters',
  };
}

const NEVER_LEAD = 'self.failoverPriority.filter(k, self.failoverPriority[k] == 0).size()';
const REQUIRED =
  "has(self.postgresql) && has(self.postgresql.synchronous) && (!has(self.postgresql.synchronous.dataDurability) || self.postgresql.synchronous.dataDurability == 'required')";

const specRules: Rule[] = [
  enoughForReplicas('max_wal_senders'),
  enoughForReplicas('max_replication_slots'),
  {
    rule: `!has(self.failoverPriority) || !(${REQUIRED}) || self.postgresql.synchronous.number + ${NEVER_LEAD} < ${INSTANCES}`,
    message:
      'too many instances have 0 in failoverPriority: no commit waits for those, and spec.postgresql.synchronous.number of the others must be there besides the primary, or commits would wait for ever: give some of them 1 or more, raise spec.instances, or lower the number',
    fieldPath: '.failoverPriority',
  },
  {
    rule: `!has(self.postgresql) || !has(self.postgresql.synchronous) || self.postgresql.synchronous.number < ${INSTANCES}`,
    message:
      'spec.postgresql.synchronous.number must be less than spec.instances, since the primary does not count: raise spec.instances, or lower the number (with one instance, remove synchronous)',
    fieldPath: '.instances',
  },
  {
    rule: 'has(self.walStorage) == has(oldSelf.walStorage)',
    message:
      'a volume for WAL can be neither added nor removed later: put walStorage back as it was, or make a new cluster',
    fieldPath: '.walStorage',
    reason: 'FieldValueForbidden',
  },
  {
    rule: 'has(self.bootstrap) == has(oldSelf.bootstrap)',
    message:
      'bootstrap is used once, when the cluster is made, and can be neither added nor removed later: put it back as it was',
    fieldPath: '.bootstrap',
    reason: 'FieldValueForbidden',
  },
  {
    rule: '!has(self.superuserSecret) || (has(self.enableSuperuserAccess) && self.enableSuperuserAccess)',
    message:
      'superuserSecret is used only with enableSuperuserAccess: true: set it, or remove superuserSecret',
    fieldPath: '.superuserSecret',
  },
  {
    rule: `(has(self.smartShutdownTimeout) ? self.smartShutdownTimeout : ${DEFAULTS.smartShutdownTimeout}) < ${STOP_DELAY}`,
    message: `smartShutdownTimeout must be shorter than stopDelay (default: ${DEFAULTS.stopDelay}): lower it, or raise stopDelay`,
    fieldPath: '.smartShutdownTimeout',
  },
];

export const ClusterSpecSchema = object(
  'What is asked for.',
  {
    description: optional(text('A note for people.', { maxLength: 1024 })),
    instances: optional(
      integer('Number of instances: one primary, the others replicas. Default: 3.', {
        minimum: 1,
        maximum: 50,
        format: 'int32',
        // The one default the API server fills in: the scale subresource and disruption budgets read this field.
        default: DEFAULTS.instances,
      }),
    ),
    imageName: optional(
      text(`Container image of PostgreSQL. Default: ${DEFAULTS.imageName}.`, {
        minLength: 1,
        maxLength: 512,
        pattern: '^[^\\s]+$',
      }),
    ),
    imagePullPolicy: optional(
      oneOf('When the image is pulled. Default: as Kubernetes decides by the tag.', [
        'Always',
        'IfNotPresent',
        'Never',
      ]),
    ),
    imagePullSecrets: optional(imagePullSecrets),
    storage: storage('The volume of each instance for its data.'),
    walStorage: optional(
      storage('A volume of its own for the WAL of each instance. Default: WAL lies with the data.'),
    ),
    postgresql: optional(postgresql),
    bootstrap: optional(bootstrap),
    backup: optional(backup),
    superuserSecret: optional(
      localReference(
        'Secret',
        'Secret of type kubernetes.io/basic-auth with the password of postgres; needs enableSuperuserAccess. Default: NAME-superuser, made with a random password.',
      ),
    ),
    enableSuperuserAccess: optional(
      bool('Whether postgres may log in from outside, with a password. Default: false.'),
    ),
    certificates: optional(certificates),
    resources: optional(resources),
    affinity: optional(affinity),
    topologySpreadConstraints: optional(topologySpreadConstraints),
    priorityClassName: optional(priorityClassName),
    probes: optional(probes),
    env: optional(env),
    envFrom: optional(envFrom),
    inheritedMetadata: optional(inheritedMetadata),
    primaryLease: optional(primaryLease),
    failoverDelay: optional(
      seconds(
        'How long to wait, in seconds, before a primary that is not well loses its role, so that it may come back. Counted from the moment at which another could take over otherwise; a database that died is started in place first. Default: 0.',
        0,
        HOUR,
      ),
    ),
    maximumLag: optional(
      bytes(
        'A replica further behind than this amount of WAL does not become primary by itself. Default: no limit.',
        '64Mi',
      ),
    ),
    failoverPriority: optional(
      map(
        'Instances by name, each with a number: among replicas that have received the same, the one with the higher number becomes primary. 0: never becomes primary unless a switchover names it with force, and no commit waits for it. An instance that is not named has 1.',
        integer('Higher goes first; 0: never primary.', { minimum: 0, maximum: 1000, format: 'int32' }),
        {
          maxProperties: 50,
          rules: [
            {
              rule: "self.all(k, k.matches('-[1-9][0-9]*$'))",
              message:
                'the names must be those of instances: NAME-1, NAME-2 and so on, as kubectl get pods shows them',
            },
          ],
        },
      ),
    ),
    primaryStartTimeout: optional(
      seconds(
        'How long, in seconds, a primary whose PostgreSQL ended may take to start again in place before it gives up its role. Default: 60.',
        0,
        24 * HOUR,
      ),
    ),
    startDelay: optional(
      seconds(
        'How long, in seconds, an instance may take to start, recovery after a crash included, before it is restarted. Default: 3600.',
        1,
        7 * 24 * HOUR,
      ),
    ),
    stopDelay: optional(
      seconds(
        'How long, in seconds, an instance may take to stop before it is killed. Default: 1800.',
        1,
        24 * HOUR,
      ),
    ),
    smartShutdownTimeout: optional(
      seconds(
        'How long, in seconds, an instance that stops waits for its clients to leave by themselves. Default: 0, since a client that stays would hold up a switchover.',
        0,
        24 * HOUR,
      ),
    ),
    switchoverDelay: optional(
      seconds(
        'How long, in seconds, the old primary may take to stop in a switchover before PostgreSQL is shut down at once. Default: 60.',
        1,
        24 * HOUR,
      ),
    ),
    enablePDB: optional(
      bool('Whether a PodDisruptionBudget lets only one instance at a time be evicted. Default: true.'),
    ),
    logLevel: optional(
      oneOf('How much pgherd logs in the instances. Default: info.', [
        'error',
        'warning',
        'info',
        'debug',
        'trace',
      ]),
    ),
  },
  { rules: specRules },
);

export type ClusterSpec = Static<typeof ClusterSpecSchema>;
