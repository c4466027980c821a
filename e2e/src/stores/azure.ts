/** A store of Azure's kind: the blob part of azurite. */
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { StoreKind } from './pod.ts';

const key = (seed: string) => createHash('sha512').update(seed).digest('base64');
const ACCOUNT = 'pgherdaccount';

export const AZURE: StoreKind = {
  program: fileURLToPath(import.meta.resolve('@pgherd/postgres/testing-azure')),
  plugins: [],
  keys: { id: ACCOUNT, secret: key('right') },
  wrong: key('wrong'),
  place: ({ bucket, endpoint, secret }) => ({
    azure: {
      account: ACCOUNT,
      container: bucket,
      endpoint,
      uriStyle: 'path',
      credentials: { key: secret('keys', 'secret') },
      ca: secret('ca', 'ca.crt'),
    },
  }),
};
