/**
 * A server that speaks S3 over TLS, in a pod: s3rver, which checks the signature of every request. `files FOLDER`
 * prints how many files lie there.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import S3rver from '@20minutes/s3rver';
import { DUMMY_ACCOUNT } from '@20minutes/s3rver/lib/models/account.js';
import { everyAddress } from '@pgherd/postgres/pgbackrest/options';

const { STORE_KEY = '', STORE_SECRET = '', STORE_BUCKET = '', STORE_PORT = '' } = process.env;
const DATA = '/data';

const [command, folder = ''] = process.argv.slice(2);
if (command === 'files') printFiles(join(DATA, STORE_BUCKET, folder));
else await serve();

function printFiles(path: string): void {
  const entries = readdirSync(path, { recursive: true, withFileTypes: true });
  console.log(entries.filter((entry) => entry.isFile()).length);
}

async function serve(): Promise<void> {
  DUMMY_ACCOUNT.createKeyPair(STORE_KEY, STORE_SECRET);
  await new S3rver({
    address: everyAddress(networkInterfaces()).replace('*', '0.0.0.0'),
    port: Number(STORE_PORT),
    directory: DATA,
    key: readFileSync('/certificate/tls.key', 'utf8'),
    cert: readFileSync('/certificate/tls.crt', 'utf8'),
    silent: true,
    vhostBuckets: false,
    configureBuckets: [{ name: STORE_BUCKET }],
  }).run();
  process.stdout.write('the store is open\n');
  process.once('SIGTERM', () => process.exit(0));
}
