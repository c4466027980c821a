/** `spec.backup`: where backups and WAL go, and how long they stay there. */
import { NAME_PATTERN, NAME_SHAPE } from '../names.ts';
import { integer, list, matching, object, oneOf, optional, type Rule, text } from '../schema.ts';
import { keyReference } from './pod-fields.ts';
import { storage } from './storage-fields.ts';

/** pgBackRest numbers its repositories; so many may be used at once. */
export const MAX_REPOSITORIES = 4;

const secretKey = (description: string) => keyReference('Secret', description);

const prefix = optional(
  text('Folder within it under which everything lies. Default: /pgherd/NAMESPACE/CLUSTER.', {
    maxLength: 512,
    rules: [matching('^/[^\\r\\n]*$', 'must be a path that begins with /, such as /backups')],
  }),
);

const endpoint = (description: string) =>
  text(description, {
    maxLength: 512,
    rules: [
      matching(
        '^(https://)?[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?/?$',
        'must be a host, with a port if it needs one, such as s3.example.org:9000: without a path, and never http, since connections use TLS',
      ),
    ],
  });

const uriStyle = optional(
  oneOf(
    'host: the bucket is part of the host name; path: it is part of the path, as most servers of your own want it. Default: host.',
    ['host', 'path'],
  ),
);

const ca = optional(
  secretKey(
    "The certificate authority (PEM) of the store, where it is not one of the image's. Connections always use TLS.",
  ),
);

const place = (description: string) =>
  text(description, {
    maxLength: 255,
    rules: [matching('^[^\\s/]+$', 'must be a name, without spaces and without /')],
  });

const s3 = object('A bucket of Amazon S3 or of a server that speaks its protocol.', {
  bucket: place('Name of the bucket. It must exist.'),
  endpoint: endpoint('Host of the server, with a port if it is not 443, for example s3.amazonaws.com.'),
  region: text('Region of the bucket; servers of your own mostly take any, for example us-east-1.', {
    minLength: 1,
    maxLength: 64,
  }),
  prefix,
  uriStyle,
  credentials: optional(
    object('The keys to log in with. Default: the role of the machine the pod runs on.', {
      accessKeyId: secretKey('The access key.'),
      secretAccessKey: secretKey('The secret key.'),
      sessionToken: optional(secretKey('The token of a session, for keys that live only for a while.')),
    }),
  ),
  ca,
});

const azure = object('A container of Azure Blob Storage, or of a server that speaks its protocol.', {
  account: place('Name of the storage account.'),
  container: place('Name of the container. It must exist.'),
  endpoint: optional(endpoint('Host of the server. Default: blob.core.windows.net.')),
  prefix,
  uriStyle,
  credentials: object(
    'What to log in with.',
    {
      key: optional(secretKey('The key of the account.')),
      sasToken: optional(secretKey('A shared access signature.')),
    },
    {
      rules: [
        {
          rule: 'has(self.key) != has(self.sasToken)',
          message: 'give either key or sasToken, and not both',
          reason: 'FieldValueRequired',
        },
      ],
    },
  ),
  ca,
});

const gcs = object('A bucket of Google Cloud Storage.', {
  bucket: place('Name of the bucket. It must exist.'),
  endpoint: optional(endpoint('Host of the server. Default: storage.googleapis.com.')),
  prefix,
  credentials: optional(
    secretKey(
      'The key file (JSON) of a service account. Default: the account of the machine the pod runs on.',
    ),
  ),
  ca,
});

const count = (description: string) => integer(description, { minimum: 1, maximum: 9999, format: 'int32' });

const retention = object(
  'How long backups are kept. What is too old is removed after each backup. Default: everything is kept.',
  {
    full: optional(
      object(
        'Full backups to keep, with all that rest on them.',
        {
          count: optional(count('So many of them.')),
          days: optional(
            count('All of so many days: as many as it takes to get back to any time in these days.'),
          ),
        },
        {
          rules: [
            {
              rule: 'has(self.count) != has(self.days)',
              message: 'give either count or days, and not both',
              reason: 'FieldValueRequired',
            },
          ],
        },
      ),
    ),
    differential: optional(
      object('Differential backups to keep. Default: as long as their full backup.', {
        count: count('So many of them.'),
      }),
    ),
    archive: optional(
      object(
        'For how many backups WAL is kept beyond what they need by themselves: between these, any time can be restored. Default: for all that are kept.',
        {
          count: count('For so many of the newest backups.'),
          type: optional(
            oneOf('Which backups are counted. Default: full.', ['full', 'differential', 'incremental']),
          ),
        },
      ),
    ),
  },
);

const STORES = ['volume', 's3', 'azure', 'gcs'] as const;

const same = (field: string) => `has(self.${field}) == has(oldSelf.${field})`;

const repositoryRules: Rule[] = [
  {
    rule: `[${STORES.map((store) => `has(self.${store})`).join(', ')}].filter(given, given).size() == 1`,
    message: 'a repository has exactly one place: volume, s3, azure or gcs',
    reason: 'FieldValueRequired',
  },
  {
    rule: STORES.map(same).join(' && '),
    message:
      'a repository cannot move to a place of another kind: add one under another name, and remove this one',
    reason: 'FieldValueForbidden',
  },
  {
    rule: same('encryption'),
    message:
      'encryption can be neither added nor removed later: add a repository under another name, and remove this one',
    fieldPath: '.encryption',
    reason: 'FieldValueForbidden',
  },
];

export const repository = object(
  'A place for backups and WAL.',
  {
    name: text('Its name, by which backups refer to it.', {
      maxLength: 20,
      rules: [matching(NAME_PATTERN, NAME_SHAPE)],
    }),
    volume: optional(
      storage(
        'A volume of its own, NAME-backup-REPOSITORY, served by one small pod. It outlives the cluster.',
      ),
    ),
    s3: optional(s3),
    azure: optional(azure),
    gcs: optional(gcs),
    encryption: optional(
      object(
        'Encrypt everything before it is stored (AES 256). Without the passphrase nothing can be read.',
        {
          secret: secretKey('The passphrase.'),
        },
      ),
    ),
    retention: optional(retention),
  },
  { rules: repositoryRules },
);

export const backup = object(
  'Backups and WAL archiving with pgBackRest. WAL is archived to all repositories as soon as this is set.',
  {
    repositories: list('Where backups and WAL go.', repository, {
      minItems: 1,
      maxItems: MAX_REPOSITORIES,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      rules: [
        {
          rule: 'self.all(one, self.exists_one(other, other.name == one.name))',
          message: 'two repositories have the same name',
          reason: 'FieldValueDuplicate',
        },
      ],
    }),
    target: optional(
      oneOf(
        'Which instance is copied. prefer-standby: a replica that streams, or the primary if there is none. Default: prefer-standby.',
        ['prefer-standby', 'primary'],
      ),
    ),
    compression: optional(
      object('How backups and WAL are compressed.', {
        type: optional(oneOf('Method. Default: zst.', ['none', 'gz', 'lz4', 'zst', 'bz2'])),
        level: optional(
          integer("Level of the method. Default: the method's own.", {
            minimum: 0,
            maximum: 22,
            format: 'int32',
          }),
        ),
      }),
    ),
    parallelism: optional(
      integer('How many processes compress and transfer at once (process-max of pgBackRest). Default: 2.', {
        minimum: 1,
        maximum: 99,
        format: 'int32',
      }),
    ),
  },
);
