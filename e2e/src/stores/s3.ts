/** A store of S3's kind: s3rver. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Plugin } from 'esbuild';
import type { StoreKind } from './pod.ts';

const WITHOUT_SLASH = /canonicalizedResource \+= `\/\$\{ctx\.params\.bucket\}`/;

/**
 * What is signed is the path as it was sent. s3rver drops the slash after a bucket's name, and so refuses
 * pgBackRest's lists, which S3 itself takes.
 */
const lastSlash: Plugin = {
  name: 'last-slash',
  setup({ onLoad }) {
    onLoad({ filter: /s3rver\/lib\/middleware\/authentication\.js$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      const slash = "ctx.path === '/' + ctx.params.bucket + '/' ? '/' : ''";
      if (!WITHOUT_SLASH.test(text)) throw new Error('s3rver has changed: see whether this is still needed');
      return {
        contents: text.replace(WITHOUT_SLASH, (found) => `${found} + (${slash})`),
        loader: 'js',
      };
    });
  },
};

export const S3: StoreKind = {
  program: join(import.meta.dirname, 's3-server.ts'),
  plugins: [lastSlash],
  keys: { id: 'PGHERDKEY', secret: 'a+secret/of=its own' },
  wrong: 'wrong',
  place: ({ bucket, endpoint, secret }) => ({
    s3: {
      bucket,
      endpoint,
      region: 'us-east-1',
      uriStyle: 'path',
      credentials: { accessKeyId: secret('keys', 'id'), secretAccessKey: secret('keys', 'secret') },
      ca: secret('ca', 'ca.crt'),
    },
  }),
};
