/** `spec.postgresql`: settings, access rules and synchronous replication. */
import { integer, list, map, object, oneOf, optional, type Rule, text } from '../schema.ts';
import { OWNED_PARAMETERS, type OwnedParameters } from './owned-parameters.ts';

/**
 * A rule for each parameter rather than one for all: a rule's fixed message can then name the parameter. (A message
 * made of the map's keys would exceed the cost an API server allows.)
 */
function refuseOwned({ parameters, remedy }: OwnedParameters): Rule[] {
  return parameters.map((name) => ({
    rule: `!('${name}' in self)`,
    message: `${name} cannot be set here: ${remedy}`,
    reason: 'FieldValueForbidden',
  }));
}

const PARAMETER_NAME = '^([a-z_][a-z0-9_]*([.][a-zA-Z_][a-zA-Z0-9_$]*)?|DateStyle|IntervalStyle|TimeZone)$';

const parameters = map(
  'Parameters of PostgreSQL by name, as in postgresql.conf; every value is text, so numbers and on or off go in quotes. Those that pgherd owns, such as primary_conninfo, ssl or archive_command, are refused. A change is applied by reload, or by a rolling restart where the parameter needs one.',
  text('Value of the parameter.', { maxLength: 4096, pattern: '^[^\\r\\n]*$' }),
  {
    maxProperties: 256,
    rules: [
      {
        rule: `self.all(k, k.matches('${PARAMETER_NAME}'))`,
        message:
          "a parameter's name must be in lower-case letters, digits and underscores, with one dot for those of an extension",
      },
      ...OWNED_PARAMETERS.flatMap(refuseOwned),
      {
        rule: "!('wal_level' in self) || self['wal_level'] in ['replica', 'logical']",
        message: 'wal_level must be replica or logical: replicas cannot follow otherwise',
      },
    ],
  },
);

const synchronous = object(
  'Synchronous replication: a commit waits until this many replicas have it too.',
  {
    method: oneOf(
      'any: any of the replicas may confirm (a quorum); first: the first ones in a fixed order confirm.',
      ['any', 'first'],
    ),
    number: integer('How many replicas must confirm a commit. Fewer than there are instances.', {
      minimum: 1,
      maximum: 49,
      format: 'int32',
    }),
    dataDurability: optional(
      oneOf(
        'required: a commit waits for its replicas as long as it takes, and no failover loses what was acknowledged; preferred: with too few replicas commits go on with fewer, and the status says so. Default: required.',
        ['required', 'preferred'],
      ),
    ),
    maxStandbyNamesFromCluster: optional(
      integer(
        "How many of the cluster's instances may be named as synchronous at most. Default: all of them.",
        {
          minimum: 1,
          maximum: 49,
          format: 'int32',
        },
      ),
    ),
  },
  {
    rules: [
      {
        rule: '!has(self.maxStandbyNamesFromCluster) || self.number <= self.maxStandbyNamesFromCluster',
        message:
          'maxStandbyNamesFromCluster must be at least number: raise it, or lower spec.postgresql.synchronous.number',
        fieldPath: '.maxStandbyNamesFromCluster',
      },
    ],
  },
);

const HBA_LINE = '^(#.*|(local|host|hostssl|hostnossl|hostgssenc|hostnogssenc)[ \\t].*)$';

export const postgresql = object(
  'Settings of PostgreSQL.',
  {
    parameters: optional(parameters),
    pg_hba: optional(
      list(
        'Lines of pg_hba.conf: who may log in from where and how. They come after the lines pgherd needs for itself and before the last one, which lets every user in over TLS with a SCRAM password.',
        text('A line such as: hostssl all all 10.0.0.0/8 scram-sha-256', {
          maxLength: 1024,
          rules: [
            {
              rule: `self.matches('${HBA_LINE.replaceAll('\\', '\\\\')}')`,
              message:
                'must be one line of pg_hba.conf that begins with local, host, hostssl, hostnossl, hostgssenc or hostnogssenc, such as: hostssl all all 10.0.0.0/8 scram-sha-256',
            },
          ],
        }),
        { maxItems: 256 },
      ),
    ),
    pg_ident: optional(
      list(
        'Lines of pg_ident.conf: which names of certificates or of the system stand for which role.',
        text('A line of three fields, MAPNAME SYSTEM-NAME ROLE, such as: certs CN=alice alice', {
          maxLength: 1024,
          rules: [
            {
              rule: "self.matches('^(#.*|[^ \\\\t\\\\r\\\\n]+[ \\\\t]+[^ \\\\t\\\\r\\\\n]+[ \\\\t]+[^\\\\r\\\\n]+)$')",
              message: 'must be one line of pg_ident.conf with three fields: MAPNAME SYSTEM-NAME ROLE',
            },
          ],
        }),
        { maxItems: 256 },
      ),
    ),
    synchronous: optional(synchronous),
    shared_preload_libraries: optional(
      list(
        'Libraries that PostgreSQL loads when it starts, for example pg_stat_statements. A change restarts the instances one by one.',
        text('Name of a library.', { maxLength: 255, pattern: '^[A-Za-z0-9_$./-]+$' }),
        { maxItems: 64 },
      ),
    ),
  },
  {
    rules: [
      {
        rule: "!has(self.synchronous) || (has(self.synchronous.dataDurability) && self.synchronous.dataDurability == 'preferred') || !has(self.parameters) || !('synchronous_commit' in self.parameters) || self.parameters['synchronous_commit'] in ['on', 'remote_apply']",
        message:
          'synchronous_commit must be on or remote_apply while synchronous.dataDurability is required: anything less acknowledges commits that a failover can lose; set dataDurability: preferred if that is meant',
        fieldPath: '.parameters',
      },
    ],
  },
);
