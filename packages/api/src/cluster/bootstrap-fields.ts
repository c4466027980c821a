/** `spec.bootstrap`: how the first instance gets its data. */
import { MAX_CLUSTER_NAME_LENGTH } from '../names.ts';
import { recoveryTarget } from '../recovery/fields.ts';
import { bool, frozen, integer, list, object, oneOf, optional, type Rule, text } from '../schema.ts';
import { repository } from './backup-fields.ts';
import { keyReference, localReference } from './pod-fields.ts';

const RESERVED_ROLES = "['postgres', 'streaming_replica']";
const RESERVED_DATABASES = "['postgres', 'template0', 'template1']";

const statements = (when: string) =>
  list(
    `SQL statements run ${when}, in this order. One that fails stops the bootstrap and is named in the status.`,
    text('An SQL statement.', { maxLength: 65536 }),
    { maxItems: 256 },
  );

const references = (when: string) =>
  object(`Secrets and ConfigMaps that hold SQL run ${when}, after the statements written here.`, {
    secretRefs: optional(
      list('Keys of Secrets, run first, in this order.', keyReference('Secret', 'A key of a Secret.'), {
        maxItems: 64,
      }),
    ),
    configMapRefs: optional(
      list('Keys of ConfigMaps, in this order.', keyReference('ConfigMap', 'A key of a ConfigMap.'), {
        maxItems: 64,
      }),
    ),
  });

const AS_SUPERUSER = 'once, as superuser in the database postgres, after the first start';
const IN_APPLICATION = 'once, as superuser in the application database';
const IN_TEMPLATE = 'once, as superuser in template1, before the application database is made';

const word = (description: string) =>
  optional(text(description, { maxLength: 255, minLength: 1, pattern: '^[^\\r\\n]+$' }));

const NEVER_CHANGED: Rule = {
  rule: 'self == oldSelf',
  message:
    'bootstrap is used once, when the cluster is made, and cannot be changed: put it back, or make a new cluster',
  reason: 'FieldValueForbidden',
};

/** The application's database and its owner. */
const application = {
  database: optional(
    text('Name of the application database. Default: app.', {
      minLength: 1,
      maxLength: 63,
      rules: [
        {
          rule: `!(self in ${RESERVED_DATABASES})`,
          message: 'this is a database of PostgreSQL itself: choose another name',
        },
      ],
    }),
  ),
  owner: optional(
    text('Role that owns the application database. Default: the name of the database.', {
      minLength: 1,
      maxLength: 63,
      rules: [
        {
          rule: `!(self in ${RESERVED_ROLES}) && !self.startsWith('pg_')`,
          message:
            'this is a role of PostgreSQL or pgherd itself: choose another name that does not begin with pg_',
        },
      ],
    }),
  ),
  secret: optional(
    localReference(
      'Secret',
      "Secret of type kubernetes.io/basic-auth with the owner's username and password. Default: NAME-app, made with a random password.",
    ),
  ),
};

const initdbRules: Rule[] = [
  {
    rule: "!has(self.icuLocale) || (has(self.localeProvider) && self.localeProvider == 'icu')",
    message: 'icuLocale needs localeProvider: icu',
    fieldPath: '.icuLocale',
  },
  {
    rule: "!has(self.icuRules) || (has(self.localeProvider) && self.localeProvider == 'icu')",
    message: 'icuRules needs localeProvider: icu',
    fieldPath: '.icuRules',
  },
  {
    rule: "!has(self.localeProvider) || self.localeProvider != 'icu' || has(self.icuLocale)",
    message: 'localeProvider icu needs icuLocale, for example en',
    fieldPath: '.localeProvider',
  },
  {
    rule: "!has(self.builtinLocale) || (has(self.localeProvider) && self.localeProvider == 'builtin')",
    message: 'builtinLocale needs localeProvider: builtin',
    fieldPath: '.builtinLocale',
  },
  {
    rule: "!has(self.localeProvider) || self.localeProvider != 'builtin' || has(self.builtinLocale)",
    message: 'localeProvider builtin needs builtinLocale: C, C.UTF-8 or PG_UNICODE_FAST',
    fieldPath: '.localeProvider',
  },
  NEVER_CHANGED,
];

const initdb = object(
  'Make a new, empty database cluster.',
  {
    ...application,
    encoding: word('Character encoding. Default: UTF8.'),
    locale: word('Locale for everything that has none of its own. Default: C.'),
    localeCollate: word('Locale for sorting.'),
    localeCType: word('Locale for what counts as a letter.'),
    localeProvider: optional(
      oneOf('Library that provides the locale. Default: libc.', ['libc', 'icu', 'builtin']),
    ),
    icuLocale: word('Locale of ICU; needs localeProvider icu.'),
    icuRules: word('Further rules for sorting with ICU; needs localeProvider icu and PostgreSQL 16.'),
    builtinLocale: word('Locale of the builtin provider; needs localeProvider builtin and PostgreSQL 17.'),
    dataChecksums: optional(
      bool('Whether pages carry checksums, so that silent corruption is found. Default: true.'),
    ),
    walSegmentSize: optional(
      integer('Size of a WAL file in MB, a power of two from 1 to 1024. Default: 16.', {
        minimum: 1,
        maximum: 1024,
        format: 'int32',
        rules: [
          {
            rule: 'self in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]',
            message: 'must be a power of two from 1 to 1024 (MB)',
          },
        ],
      }),
    ),
    postInitSQL: optional(statements(AS_SUPERUSER)),
    postInitApplicationSQL: optional(statements(IN_APPLICATION)),
    postInitTemplateSQL: optional(statements(IN_TEMPLATE)),
    postInitSQLRefs: optional(references(AS_SUPERUSER)),
    postInitApplicationSQLRefs: optional(references(IN_APPLICATION)),
    postInitTemplateSQLRefs: optional(references(IN_TEMPLATE)),
  },
  { rules: initdbRules },
);

const clusterName = (description: string) =>
  text(description, { minLength: 1, maxLength: MAX_CLUSTER_NAME_LENGTH });

const recoverySource = object(
  'Whose backups, and where they are.',
  {
    cluster: optional(
      clusterName(
        'The cluster that was backed up; it need not exist any more. Default: the name of this cluster.',
      ),
    ),
    systemID: optional(
      text(
        "PostgreSQL's system identifier of its database, where several databases have borne its name. Default: the one that was backed up last.",
        { maxLength: 20, pattern: '^[0-9]+$' },
      ),
    ),
    stanza: optional(
      text(
        "pgBackRest's name of its backups, where they were not made by pgherd. Default: CLUSTER-SYSTEMID.",
        {
          minLength: 1,
          maxLength: 128,
          pattern: '^[A-Za-z0-9][-A-Za-z0-9_.]*$',
        },
      ),
    ),
    repositoryName: optional(
      text(
        'Name of one of the repositories of that cluster, or, where there is no such cluster, of this one. Default: the first.',
        { minLength: 1, maxLength: 20 },
      ),
    ),
    repository: optional(frozen(repository)),
  },
  {
    rules: [
      {
        rule: '!has(self.repository) || !has(self.repositoryName)',
        message: 'give either repository or repositoryName, and not both',
        fieldPath: '.repositoryName',
      },
    ],
  },
);

const recovery = object(
  'Restore a backup of this or another cluster, and replay its WAL up to a target.',
  {
    backup: optional(localReference('Backup', 'A Backup, of the same namespace, to begin with.')),
    source: optional(recoverySource),
    recoveryTarget: optional(recoveryTarget),
    ...application,
  },
  {
    rules: [
      {
        rule: '!has(self.backup) || !has(self.source)',
        message: 'give either backup or source, and not both',
        fieldPath: '.source',
      },
      {
        rule: '!has(self.backup) || !has(self.recoveryTarget) || !has(self.recoveryTarget.backupID)',
        message:
          'the Backup that is named says with which backup to begin: remove backupID, or give source instead of backup',
        fieldPath: '.recoveryTarget.backupID',
      },
      NEVER_CHANGED,
    ],
  },
);

const pgBaseBackup = object(
  'Copy a running cluster.',
  {
    source: object('What is copied.', {
      cluster: clusterName('A Cluster of the same namespace. The copy is made from one of its replicas.'),
    }),
    ...application,
  },
  { rules: [NEVER_CHANGED] },
);

const WAYS = ['initdb', 'recovery', 'pg_basebackup'];

export const bootstrap = object(
  'How the first instance gets its data. Used once; cannot be changed afterwards.',
  { initdb: optional(initdb), recovery: optional(recovery), pg_basebackup: optional(pgBaseBackup) },
  {
    rules: [
      {
        rule: `[${WAYS.map((way) => `has(self.${way})`).join(', ')}].filter(given, given).size() <= 1`,
        message: `give at most one of ${WAYS.join(', ')}`,
      },
      {
        rule: WAYS.map((way) => `has(self.${way}) == has(oldSelf.${way})`).join(' && '),
        message: NEVER_CHANGED.message,
        reason: 'FieldValueForbidden',
      },
    ],
  },
);
