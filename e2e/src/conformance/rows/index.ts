import type { Row } from '../table.ts';
import { access } from './access.ts';
import { creates } from './creates.ts';
import { custom } from './custom.ts';
import { customSchema } from './custom-schema.ts';
import { defaults } from './defaults.ts';
import { deletes } from './deletes.ts';
import { discovery } from './discovery.ts';
import { garbage } from './garbage.ts';
import { lists } from './lists.ts';
import { patches } from './patches.ts';
import { serverSideApply } from './server-side-apply.ts';
import { subresources } from './subresources.ts';
import { tables } from './tables.ts';
import { updates } from './updates.ts';
import { watches } from './watches.ts';
import { workloads } from './workloads.ts';

/** The whole table. The slow rows come first, so that the others run beside them. */
export const table: Row[] = [
  ...workloads,
  ...garbage,
  ...lists,
  ...watches,
  ...creates,
  ...updates,
  ...deletes,
  ...patches,
  ...serverSideApply,
  ...subresources,
  ...custom,
  ...customSchema,
  ...defaults,
  ...tables,
  ...discovery,
  ...access,
];
