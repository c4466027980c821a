/** Port 8000 of the repository pod: probes for anyone, all else for certificates of the cluster. */
import type { Routes } from '../backup/routes.ts';
import { type ManagerServer, type ServerMaterial, serveManager } from './manager-server.ts';

const NOBODY = () => {
  throw new Error('no database runs here');
};

/** Serves over mutual TLS; resolves when it listens. */
export function serveBackrest(o: {
  port: number;
  host?: string;
  material: ServerMaterial;
  routes: Routes;
}): Promise<ManagerServer> {
  const answers = {
    report: NOBODY,
    freshReport: NOBODY,
    grant: NOBODY,
    promise: NOBODY,
    prepare: NOBODY,
    changed: NOBODY,
  };
  return serveManager({ ...o, answers, backrest: o.routes });
}
