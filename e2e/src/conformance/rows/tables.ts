import assert from 'node:assert/strict';
import { configMap, deployment, lease, pendingPod, service } from '../objects.ts';
import { type Api, type Json, rows, type Shown, sees } from '../table.ts';
import { widget } from '../widgets.ts';

const TABLE = { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' } };
const METADATA = {
  headers: { accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json' },
};

interface Table {
  columnDefinitions: { name: string; type: string; priority: number }[];
  rows: { cells: unknown[]; object?: Shown }[];
}

async function tableOf(api: Api, resource: string, object: Json, query = ''): Promise<Table> {
  const body = { ...object, metadata: { ...(object.metadata as Json), labels: { row: api.name } } };
  await api.made(resource, body);
  const path = `${api.path(resource)}?labelSelector=row%3D${api.name}${query}`;
  const answer = sees(await api.get(path, TABLE), 200, { kind: 'Table', apiVersion: 'meta.k8s.io/v1' });
  return answer.body as unknown as Table;
}

function columns({ columnDefinitions }: Table): string[] {
  return columnDefinitions.map(({ name }) => name);
}

/** The columns that kubectl prints, of kinds that people look at here. */
const COLUMNS: [resource: string, object: (api: Api) => Json, columns: string[]][] = [
  ['configmaps', (api) => configMap(api.name), ['Name', 'Data', 'Age']],
  ['secrets', (api) => ({ metadata: { name: api.name }, data: {} }), ['Name', 'Type', 'Data', 'Age']],
  [
    'pods',
    (api) => pendingPod(api.name),
    ['Name', 'Ready', 'Status', 'Restarts', 'Age', 'IP', 'Node', 'Nominated Node', 'Readiness Gates'],
  ],
  [
    'services',
    (api) => service(api.name),
    ['Name', 'Type', 'Cluster-IP', 'External-IP', 'Port(s)', 'Age', 'Selector'],
  ],
  [
    'deployments',
    (api) => deployment(api.name),
    ['Name', 'Ready', 'Up-to-date', 'Available', 'Age', 'Containers', 'Images', 'Selector'],
  ],
  ['leases', (api) => lease(api.name), ['Name', 'Holder', 'Age']],
  ['widgets', (api) => widget(api.group, api.name), ['Name', 'Size', 'Wide', 'Age']],
];

const columnRows = Object.fromEntries(
  COLUMNS.map(([resource, object, expected]) => [
    `the columns of ${resource}`,
    async (api: Api) => assert.deepEqual(columns(await tableOf(api, resource, object(api))), expected),
  ]),
);

/** Answers as tables, which is what kubectl prints. */
export const tables = rows('table', {
  ...columnRows,
  'the cells of a custom resource come from its definition': async (api) => {
    const table = await tableOf(api, 'widgets', widget(api.group, api.name, { size: 7, colour: 'red' }));
    assert.deepEqual(table.rows[0]?.cells.slice(0, 3), [api.name, 7, 'red']);
    assert.deepEqual(
      table.columnDefinitions.map(({ priority }) => priority),
      [0, 0, 1, 0],
    );
  },
  'rows carry the metadata of their object, unless asked otherwise': async (api) => {
    const [row] = (await tableOf(api, 'configmaps', configMap(api.name))).rows;
    assert.equal(row?.object?.kind, 'PartialObjectMetadata');
    assert.equal(row?.object?.metadata.name, api.name);
  },
  'includeObject=Object carries all of it, None nothing': async (api) => {
    const [row] = (await tableOf(api, 'configmaps', configMap(api.name), '&includeObject=Object')).rows;
    assert.deepEqual(row?.object?.data, { a: '1' });
    const path = `${api.path('configmaps')}?labelSelector=row%3D${api.name}&includeObject=None`;
    const none = (await api.get(path, TABLE)).body as unknown as Table;
    assert.equal(none.rows[0]?.object ?? null, null);
  },
  'one object is a table of one row': async (api) => {
    await api.made('configmaps', configMap(api.name));
    const answer = sees(await api.get(api.path('configmaps', api.name), TABLE), 200, { kind: 'Table' });
    assert.equal((answer.body as unknown as Table).rows.length, 1);
  },
  'each event of a watch is a table; only the first has columns': async (api) => {
    const labels = { row: api.name };
    await api.made('configmaps', configMap(`${api.name}-a`, {}, { labels }));
    const stream = await api.watch(
      `${api.path('configmaps')}?watch=true&labelSelector=row%3D${api.name}`,
      TABLE,
    );
    const first = (await stream.change())?.object as unknown as Table;
    assert.equal(first.rows[0]?.cells[0], `${api.name}-a`);
    assert.ok(first.columnDefinitions.length > 0);
    await api.made('configmaps', configMap(`${api.name}-b`, {}, { labels }));
    const second = (await stream.change())?.object as unknown as Table;
    assert.equal(second.rows[0]?.cells[0], `${api.name}-b`);
    assert.equal(second.columnDefinitions?.length ?? 0, 0);
  },
  'metadata alone can be asked for': async (api) => {
    await api.made('configmaps', configMap(api.name));
    const { body } = sees(await api.get(api.path('configmaps', api.name), METADATA), 200, {
      kind: 'PartialObjectMetadata',
      apiVersion: 'meta.k8s.io/v1',
    });
    assert.equal(body.data, undefined);
  },
});
