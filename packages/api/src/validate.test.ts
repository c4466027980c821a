/** Bad manifests by table: each is refused with its field and what to do; every rule of the schema is broken once. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { repositoryCases } from './cluster/backup-cases.ts';
import { recoveryCases } from './cluster/recovery-cases.ts';
import { CLUSTER_DEFINITION, crdOf, OWNED_PARAMETERS, validateCluster } from './index.ts';
import { brokenRules } from './rules.ts';
import { cluster, everySchema, rulesOf } from './testing.ts';

interface Case {
  what: string;
  object: unknown;
  old?: ReturnType<typeof cluster>;
  /** The field to be blamed, and words of the message or hint. */
  field: string;
  says: RegExp;
}

const spec = (fields: object) => cluster(fields as never);
const initdb = (fields: object) => spec({ bootstrap: { initdb: fields } });
const postgresql = (fields: object) => spec({ postgresql: fields });
const parameters = (fields: object) => postgresql({ parameters: fields });
const sync = (fields: object) => ({ synchronous: { method: 'any', number: 1, ...fields } });
const storage = (fields: object) => spec({ storage: { size: '10Gi', ...fields } });

const byShape: Case[] = [
  { what: '0 instances', object: spec({ instances: 0 }), field: 'spec.instances', says: /at least 1/ },
  { what: '-1 instances', object: spec({ instances: -1 }), field: 'spec.instances', says: /1 or more/ },
  {
    what: 'too many instances',
    object: spec({ instances: 51 }),
    field: 'spec.instances',
    says: /at most 50/,
  },
  {
    what: 'instances as text',
    object: spec({ instances: '3' }),
    field: 'spec.instances',
    says: /whole number/,
  },
  {
    what: 'an unknown field',
    object: spec({ replica: {} }),
    field: 'spec.replica',
    says: /no field .* remove it/,
  },
  { what: 'a slip', object: spec({ instnaces: 3 }), field: 'spec.instnaces', says: /did you mean instances/ },
  {
    what: 'an unknown field deep down',
    object: spec({ affinity: { nodeAffinity: { required: 1 } } }),
    field: 'spec.affinity.nodeAffinity.required',
    says: /no field/,
  },
  {
    what: 'an unknown field in a list',
    object: spec({ env: [{ name: 'A', val: 'b' }] }),
    field: 'spec.env[0].val',
    says: /no field.*fields known here: name, value/,
  },
  { what: 'no storage', object: { ...cluster(), spec: {} }, field: 'spec.storage', says: /missing.*add it/ },
  { what: 'no size', object: spec({ storage: {} }), field: 'spec.storage.size', says: /missing/ },
  {
    what: 'a number as parameter',
    object: parameters({ max_connections: 100 }),
    field: 'spec.postgresql.parameters.max_connections',
    says: /text.*quotes/,
  },
  {
    what: 'a parameter of two lines',
    object: parameters({ search_path: "x'\nssl=off" }),
    field: 'spec.postgresql.parameters.search_path',
    says: /match/,
  },
  {
    what: 'a word not known',
    object: spec({ logLevel: 'loud' }),
    field: 'spec.logLevel',
    says: /error, warning/,
  },
  {
    what: 'a duration as text',
    object: spec({ stopDelay: '5min' }),
    field: 'spec.stopDelay',
    says: /whole number/,
  },
  {
    what: 'a time below zero',
    object: spec({ failoverDelay: -1 }),
    field: 'spec.failoverDelay',
    says: /at least 0/,
  },
  {
    what: 'a bad amount of memory',
    object: spec({ resources: { limits: { memory: '2Gx' } } }),
    field: 'spec.resources.limits.memory',
    says: /2Gi/,
  },
  {
    what: 'a fraction where text goes',
    object: spec({ resources: { limits: { cpu: 1.5 } } }),
    field: 'spec.resources.limits.cpu',
    says: /500m/,
  },
  {
    what: 'no method',
    object: postgresql({ synchronous: { number: 1 } }),
    field: 'spec.postgresql.synchronous.method',
    says: /missing/,
  },
  {
    what: 'another version',
    object: { ...cluster(), apiVersion: 'postgresql.cnpg.io/v1' },
    field: 'apiVersion',
    says: /pgherd.io\/v1/,
  },
  { what: 'another kind', object: { ...cluster(), kind: 'Pod' }, field: 'kind', says: /kind: Cluster/ },
];

const FROZEN = /put .* back|put it back/;
const withBootstrap = initdb({ database: 'shop' });

const byRule: Case[] = [
  {
    what: 'a certificate of its own without its authority',
    object: spec({ certificates: { serverTLSSecret: 'tls' } }),
    field: 'spec.certificates.serverCASecret',
    says: /serverTLSSecret needs serverCASecret/,
  },
  {
    what: 'a certificate of the replicas without its authority',
    object: spec({ certificates: { replicationTLSSecret: 'tls' } }),
    field: 'spec.certificates.clientCASecret',
    says: /replicationTLSSecret needs clientCASecret/,
  },
  ...repositoryCases,
  ...recoveryCases,
  { what: 'a name with a dot', object: cluster({}, 'a.b'), field: 'metadata.name', says: /no dot/ },
  {
    what: 'a name that begins with a digit',
    object: cluster({}, '1a'),
    field: 'metadata.name',
    says: /letter/,
  },
  { what: 'a long name', object: cluster({}, 'a'.repeat(51)), field: 'metadata.name', says: /at most 50/ },
  {
    what: 'no size at all',
    object: storage({ size: '10Gx' }),
    field: 'spec.storage.size',
    says: /such as 10Gi/,
  },
  { what: 'a size of zero', object: storage({ size: '0' }), field: 'spec.storage.size', says: /above zero/ },
  {
    what: 'a bad size for WAL',
    object: spec({ walStorage: { size: 'big' } }),
    field: 'spec.walStorage.size',
    says: /such as/,
  },
  { what: 'a bad lag', object: spec({ maximumLag: '1 MB' }), field: 'spec.maximumLag', says: /such as 64Mi/ },
  {
    what: 'more synchronous replicas than there are',
    object: spec({ instances: 2, postgresql: sync({ number: 2 }) }),
    field: 'spec.instances',
    says: /synchronous.number must be less than spec.instances.*raise/,
  },
  {
    what: 'more synchronous replicas than by default',
    object: spec({ postgresql: sync({ number: 3 }) }),
    field: 'spec.instances',
    says: /less than/,
  },
  {
    what: 'scaled below what commits need',
    object: spec({ instances: 1, postgresql: sync({}) }),
    old: spec({ instances: 3, postgresql: sync({}) }),
    field: 'spec.instances',
    says: /remove synchronous/,
  },
  {
    what: 'fewer names than must confirm',
    object: postgresql(sync({ number: 2, maxStandbyNamesFromCluster: 1 })),
    field: 'spec.postgresql.synchronous.maxStandbyNamesFromCluster',
    says: /at least number/,
  },
  {
    what: 'too few that a commit may wait for',
    object: spec({ postgresql: sync({}), failoverPriority: { 'demo-2': 0, 'demo-3': 0 } }),
    field: 'spec.failoverPriority',
    says: /commits would wait for ever: give some of them 1 or more/,
  },
  {
    what: 'a priority for no instance at all',
    object: spec({ failoverPriority: { 'demo-x': 3 } }),
    field: 'spec.failoverPriority',
    says: /NAME-1, NAME-2/,
  },
  {
    what: 'no WAL senders for replicas',
    object: parameters({ max_wal_senders: '5' }),
    field: 'spec.postgresql.parameters',
    says: /max_wal_senders must be .* at least twice spec.instances/,
  },
  {
    what: 'no slots for replicas',
    object: parameters({ max_replication_slots: 'none' }),
    field: 'spec.postgresql.parameters',
    says: /max_replication_slots must be a whole number/,
  },
  {
    what: 'settings from a file',
    object: parameters({ include: '/tmp/x.conf' }),
    field: 'spec.postgresql.parameters',
    says: /include cannot be set here/,
  },
  {
    what: 'commits that do not wait although required',
    object: postgresql({ ...sync({}), parameters: { synchronous_commit: 'local' } }),
    field: 'spec.postgresql.parameters',
    says: /on or remote_apply.*preferred/,
  },
  {
    what: 'wal_level minimal',
    object: parameters({ wal_level: 'minimal' }),
    field: 'spec.postgresql.parameters',
    says: /replica or logical/,
  },
  {
    what: 'a parameter in capitals',
    object: parameters({ SSL: 'on' }),
    field: 'spec.postgresql.parameters',
    says: /lower-case/,
  },
  {
    what: 'a parameter with a line in its name',
    object: parameters({ 'a\nssl': 'on' }),
    field: 'spec.postgresql.parameters',
    says: /name/,
  },
  {
    what: 'a line that is no access rule',
    object: postgresql({ pg_hba: ['hots all all all md5'] }),
    field: 'spec.postgresql.pg_hba[0]',
    says: /hostssl all all/,
  },
  {
    what: 'two access rules in one',
    object: postgresql({ pg_hba: ['local all all trust\nhost all all all trust'] }),
    field: 'spec.postgresql.pg_hba[0]',
    says: /one line/,
  },
  {
    what: 'half a line of pg_ident',
    object: postgresql({ pg_ident: ['map user'] }),
    field: 'spec.postgresql.pg_ident[0]',
    says: /three fields/,
  },
  ...OWNED_PARAMETERS.flatMap((group) =>
    group.parameters.map((name) => ({
      what: `the owned parameter ${name}`,
      object: parameters({ [name]: 'x' }),
      field: 'spec.postgresql.parameters',
      says: new RegExp(`^${name} cannot be set here: .{10}`),
    })),
  ),
  {
    what: 'a reserved database',
    object: initdb({ database: 'postgres' }),
    field: 'spec.bootstrap.initdb.database',
    says: /another name/,
  },
  {
    what: 'a reserved owner',
    object: initdb({ owner: 'streaming_replica' }),
    field: 'spec.bootstrap.initdb.owner',
    says: /another name/,
  },
  {
    what: 'an owner like pg_x',
    object: initdb({ owner: 'pg_x' }),
    field: 'spec.bootstrap.initdb.owner',
    says: /pg_/,
  },
  {
    what: 'odd WAL files',
    object: initdb({ walSegmentSize: 20 }),
    field: 'spec.bootstrap.initdb.walSegmentSize',
    says: /power of two/,
  },
  {
    what: 'icuLocale alone',
    object: initdb({ icuLocale: 'en' }),
    field: 'spec.bootstrap.initdb.icuLocale',
    says: /localeProvider: icu/,
  },
  {
    what: 'icuRules alone',
    object: initdb({ icuRules: '&a<b' }),
    field: 'spec.bootstrap.initdb.icuRules',
    says: /localeProvider: icu/,
  },
  {
    what: 'icu without locale',
    object: initdb({ localeProvider: 'icu' }),
    field: 'spec.bootstrap.initdb.localeProvider',
    says: /needs icuLocale/,
  },
  {
    what: 'builtinLocale alone',
    object: initdb({ builtinLocale: 'C' }),
    field: 'spec.bootstrap.initdb.builtinLocale',
    says: /builtin/,
  },
  {
    what: 'builtin without locale',
    object: initdb({ localeProvider: 'builtin' }),
    field: 'spec.bootstrap.initdb.localeProvider',
    says: /C.UTF-8/,
  },
  {
    what: 'a variable of ours',
    object: spec({ env: [{ name: 'PGDATA', value: '/x' }] }),
    field: 'spec.env[0].name',
    says: /another name/,
  },
  {
    what: 'a label of ours',
    object: spec({ inheritedMetadata: { labels: { 'pgherd.io/role': 'x' } } }),
    field: 'spec.inheritedMetadata.labels',
    says: /another prefix/,
  },
  {
    what: 'an annotation of ours',
    object: spec({ inheritedMetadata: { annotations: { 'pgherd.io/serial': '1' } } }),
    field: 'spec.inheritedMetadata.annotations',
    says: /another prefix/,
  },
  {
    what: 'renewing later than stopping',
    object: spec({ primaryLease: { renewInterval: 6 } }),
    field: 'spec.primaryLease.renewInterval',
    says: /lower it/,
  },
  {
    what: 'stopping later than the guard',
    object: spec({ primaryLease: { stopAfter: 8 } }),
    field: 'spec.primaryLease.stopAfter',
    says: /lower it/,
  },
  {
    what: 'the guard later than takers',
    object: spec({ primaryLease: { takeAfter: 7.5 } }),
    field: 'spec.primaryLease.guardAfter',
    says: /raise takeAfter/,
  },
  {
    what: 'a superuser secret for nobody',
    object: spec({ superuserSecret: { name: 'x' } }),
    field: 'spec.superuserSecret',
    says: /enableSuperuserAccess/,
  },
  {
    what: 'waiting for clients beyond the end',
    object: spec({ smartShutdownTimeout: 60, stopDelay: 60 }),
    field: 'spec.smartShutdownTimeout',
    says: /shorter than stopDelay/,
  },
  {
    what: 'a volume that shrinks',
    object: storage({ size: '9Gi' }),
    old: storage({}),
    field: 'spec.storage.size',
    says: /cannot shrink/,
  },
  {
    what: 'another storage class',
    object: storage({ storageClass: 'b' }),
    old: storage({ storageClass: 'a' }),
    field: 'spec.storage.storageClass',
    says: FROZEN,
  },
  {
    what: 'a storage class later',
    object: storage({ storageClass: 'b' }),
    old: storage({}),
    field: 'spec.storage.storageClass',
    says: FROZEN,
  },
  {
    what: 'a WAL volume that shrinks',
    object: spec({ walStorage: { size: '1Gi' } }),
    old: spec({ walStorage: { size: '2Gi' } }),
    field: 'spec.walStorage.size',
    says: /cannot shrink/,
  },
  {
    what: 'another storage class for WAL',
    object: spec({ walStorage: { size: '1Gi', storageClass: 'b' } }),
    old: spec({ walStorage: { size: '1Gi' } }),
    field: 'spec.walStorage.storageClass',
    says: FROZEN,
  },
  {
    what: 'a WAL volume later',
    object: spec({ walStorage: { size: '1Gi' } }),
    old: cluster(),
    field: 'spec.walStorage',
    says: FROZEN,
  },
  { what: 'bootstrap later', object: withBootstrap, old: cluster(), field: 'spec.bootstrap', says: FROZEN },
  { what: 'bootstrap removed', object: cluster(), old: withBootstrap, field: 'spec.bootstrap', says: FROZEN },
  {
    what: 'bootstrap emptied',
    object: spec({ bootstrap: {} }),
    old: withBootstrap,
    field: 'spec.bootstrap',
    says: FROZEN,
  },
  {
    what: 'another database',
    object: initdb({ database: 'x' }),
    old: withBootstrap,
    field: 'spec.bootstrap.initdb',
    says: FROZEN,
  },
];

for (const { what, object, old, field, says } of [...byShape, ...byRule]) {
  test(`refused: ${what}`, () => {
    const problems = validateCluster(object, old);
    const said = problems.map((problem) => `${problem.field}: ${problem.message}; ${problem.hint ?? ''}`);
    const found = problems.find(
      (problem) => problem.field === field && says.test(`${problem.message}; ${problem.hint ?? ''}`),
    );
    assert.ok(found, `expected ${field}: ${says}, got:\n${said.join('\n')}`);
    assert.equal(problems.length, 1, `one mistake, one problem:\n${said.join('\n')}`);
  });
}

const full = cluster({
  description: 'everything',
  instances: 5,
  imageName: 'registry.example/postgresql:16@sha256:0000',
  imagePullPolicy: 'IfNotPresent',
  storage: { size: '1.5Ti', storageClass: 'fast' },
  walStorage: { size: '1e10' },
  postgresql: {
    parameters: {
      shared_buffers: '128MB',
      wal_level: 'logical',
      synchronous_commit: 'remote_apply',
      TimeZone: 'UTC',
      'auto_explain.log_min_duration': '10s',
    },
    pg_hba: ['# ours', 'hostssl all all 10.0.0.0/8 scram-sha-256', 'local\tall all peer'],
    pg_ident: ['certs CN=alice alice'],
    synchronous: { method: 'first', number: 2, dataDurability: 'required', maxStandbyNamesFromCluster: 3 },
    shared_preload_libraries: ['pg_stat_statements'],
  },
  bootstrap: {
    initdb: {
      database: 'app-db',
      owner: 'Owner',
      localeProvider: 'icu',
      icuLocale: 'en',
      icuRules: '&a<b',
      walSegmentSize: 64,
      postInitSQL: ['create extension hstore;\nselect 1'],
      postInitSQLRefs: { secretRefs: [{ name: 'a', key: 'b' }] },
    },
  },
  superuserSecret: { name: 'root' },
  enableSuperuserAccess: true,
  resources: { requests: { cpu: 1, memory: '2Gi' }, limits: { cpu: '1500m', memory: '2Gi' } },
  affinity: {
    nodeSelector: { disk: 'ssd' },
    tolerations: [{ key: 'db', operator: 'Exists', effect: 'NoSchedule' }],
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }] }],
      },
    },
  },
  env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'k', optional: true } } }],
  envFrom: [{ configMapRef: { name: 'c' } }],
  inheritedMetadata: { labels: { team: 'a' }, annotations: { 'example.org/x': 'y' } },
  primaryLease: { renewInterval: 0.5, stopAfter: 1.5, guardAfter: 2, takeAfter: 2.5 },
  maximumLag: '64Mi',
  smartShutdownTimeout: 10,
  stopDelay: 30,
});

const good: { what: string; object: unknown; old?: ReturnType<typeof cluster> }[] = [
  { what: 'the least', object: cluster() },
  { what: 'everything', object: full },
  { what: 'everything, unchanged', object: full, old: full },
  { what: 'a volume that grows', object: storage({ size: '11Gi' }), old: storage({}) },
  { what: 'the same size in other words', object: storage({ size: '10240Mi' }), old: storage({}) },
  { what: 'the longest name', object: cluster({}, 'a'.repeat(50)) },
  {
    what: 'local commits where that is meant',
    object: postgresql({
      ...sync({ dataDurability: 'preferred' }),
      parameters: { synchronous_commit: 'off' },
    }),
  },
  {
    what: 'as many that never lead as the others bear',
    object: spec({ postgresql: sync({}), failoverPriority: { 'demo-3': 0, 'demo-2': 7 } }),
  },
  {
    what: 'none that may lead, where no commit waits',
    object: spec({ failoverPriority: { 'demo-2': 0, 'demo-3': 0 } }),
  },
  {
    what: 'enough WAL senders and slots',
    object: parameters({ max_wal_senders: '6', max_replication_slots: '6' }),
  },
  {
    what: 'builtin with its locale',
    object: initdb({ localeProvider: 'builtin', builtinLocale: 'C.UTF-8' }),
  },
  {
    what: 'with a status',
    object: { ...cluster(), status: { phase: 'Ready', instances: 3, conditions: [] } },
  },
  {
    what: 'the example',
    object: parse(readFileSync(join(import.meta.dirname, '../../../examples/cluster.yaml'), 'utf8')),
  },
];

for (const { what, object, old } of good) {
  test(`accepted: ${what}`, () => assert.deepEqual(validateCluster(object, old), []));
}

test('several mistakes are all found at once', () => {
  const object = spec({ instances: 0, logLevel: 'x', foo: 1, stopDelay: 'a' });
  assert.deepEqual(
    validateCluster(object)
      .map((problem) => problem.field)
      .sort(),
    ['spec.foo', 'spec.instances', 'spec.logLevel', 'spec.stopDelay'],
  );
});

test('no object at all is refused without an exception', () => {
  for (const nothing of [undefined, null, 'text', [], 3]) assert.notDeepEqual(validateCluster(nothing), []);
});

test('every rule of the schema is broken by a case above', () => {
  const schema = crdOf(CLUSTER_DEFINITION).spec.versions[0]!.schema.openAPIV3Schema;
  const broken = new Set<string>();
  for (const { object, old } of byRule) {
    for (const { place, rule } of brokenRules(schema, object, old)) broken.add(`${place} ${rule.rule}`);
  }
  const all = everySchema(schema).flatMap((placed) =>
    rulesOf(placed).map((rule) => `${placed.path} ${rule.rule}`),
  );
  assert.deepEqual(
    all.filter((rule) => !broken.has(rule)),
    [],
  );
});
