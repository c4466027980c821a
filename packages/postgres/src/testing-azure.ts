/**
 * A server that speaks Azure's blob protocol over TLS, for tests: the blob part of azurite, which checks the signature
 * of every request. `files FOLDER` asks one that runs how many blobs lie there.
 *
 * What else azurite brings (its databases, what it reports to its makers) is not used: package.json puts a small
 * package, which it needs anyway, in the place of those.
 */
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import configuration from 'azurite/dist/src/blob/BlobConfiguration.js';
import server from 'azurite/dist/src/blob/BlobServer.js';
import { everyAddress } from './pgbackrest/options.ts';

const {
  STORE_KEY = '',
  STORE_SECRET = '',
  STORE_BUCKET = '',
  STORE_PORT = '',
  STORE_ADDRESS = everyAddress(networkInterfaces()).replace('*', '0.0.0.0'),
  STORE_DATA = '/data',
  STORE_INDEX = STORE_DATA,
  STORE_CERTIFICATE = '/certificate',
} = process.env;

const VERSION = '2021-12-02';
const KEEP_ALIVE_S = 5;
const file = (name: string) => join(STORE_CERTIFICATE, name);

const [command, folder = ''] = process.argv.slice(2);
if (command === 'files') await printFiles(folder);
else await serve();

async function serve(): Promise<void> {
  process.env.AZURITE_ACCOUNTS = `${STORE_KEY}:${STORE_SECRET}`;
  const places = [{ locationId: 'Default', locationPath: join(STORE_DATA, 'blobs'), maxConcurrency: 50 }];
  const settings = new configuration.default(
    STORE_ADDRESS,
    Number(STORE_PORT),
    KEEP_ALIVE_S,
    join(STORE_INDEX, 'blobs.json'),
    join(STORE_INDEX, 'extents.json'),
    places,
    false,
    undefined,
    false,
    undefined,
    false,
    false,
    file('tls.crt'),
    file('tls.key'),
    undefined,
    undefined,
    // The name of the server is no account.
    true,
  );
  const store = new server.default(settings);
  await store.start();
  await ask('PUT', { restype: 'container' }, [201, 409]);
  process.stdout.write('the store is open\n');
  // What it has acknowledged may be in memory alone until then.
  process.once('SIGTERM', () => store.close().finally(() => process.exit(0)));
}

async function printFiles(prefix: string): Promise<void> {
  const text = await ask('GET', { comp: 'list', prefix, restype: 'container' }, [200]);
  console.log(text.split('<Name>').length - 1);
}

/** A request to the container, signed with the key of the account. */
function ask(method: string, query: Record<string, string>, expected: number[]): Promise<string> {
  const headers = { 'x-ms-date': new Date().toUTCString(), 'x-ms-version': VERSION };
  const path = `/${STORE_KEY}/${STORE_BUCKET}`;
  const signed = [
    method,
    ...Array.from({ length: 11 }, () => ''),
    ...Object.entries(headers).map(([name, value]) => `${name}:${value}`),
    `/${STORE_KEY}${path}`,
    ...Object.keys(query)
      .sort()
      .map((name) => `${name}:${query[name]}`),
  ].join('\n');
  const signature = createHmac('sha256', Buffer.from(STORE_SECRET, 'base64')).update(signed).digest('base64');
  const options = {
    method,
    host: ['::', '0.0.0.0'].includes(STORE_ADDRESS) ? '127.0.0.1' : STORE_ADDRESS,
    port: Number(STORE_PORT),
    path: `${path}?${new URLSearchParams(query)}`,
    headers: { ...headers, 'content-length': 0, authorization: `SharedKey ${STORE_KEY}:${signature}` },
    ca: readFileSync(file('ca.crt')),
    // It is ourselves, by an address that the certificate does not have.
    checkServerIdentity: () => undefined,
  };
  return new Promise((resolve, reject) => {
    const call = request(options, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      answer.on('error', reject);
      answer.on('end', () => {
        if (expected.includes(answer.statusCode ?? 0)) resolve(text);
        else reject(new Error(`the store answers ${answer.statusCode}: ${text}`));
      });
    });
    call.on('error', reject);
    call.end();
  });
}
