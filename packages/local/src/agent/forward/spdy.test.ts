import assert from 'node:assert/strict';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { constants, inflateSync } from 'node:zlib';
import { SpdySession, type SpdyStream } from './spdy.ts';
import { clientBlock, DICTIONARY, emptyBlock } from './spdy-headers.ts';

const SYN_STREAM = 1;
const RST_STREAM = 3;
const PING = 6;
const FIN = 1;

function control(type: number, flags: number, body: Buffer): Buffer {
  const head = Buffer.from([0x80, 3, 0, type, flags, 0, body.length >> 8, body.length & 255]);
  return Buffer.concat([head, body]);
}

function number(value: number): Buffer {
  const data = Buffer.alloc(4);
  data.writeUInt32BE(value);
  return data;
}

const open = (id: number, headers: Record<string, string>, flags = 0): Buffer =>
  control(
    SYN_STREAM,
    flags,
    Buffer.concat([number(id), number(0), Buffer.alloc(2), clientBlock(headers, id === 1)]),
  );

function dataFrame(id: number, data: string, flags = 0): Buffer {
  return Buffer.concat([number(id), Buffer.from([flags, 0, 0, data.length]), Buffer.from(data)]);
}

/** A session whose peer is the test. */
function session() {
  const sent: Buffer[] = [];
  const streams: SpdyStream[] = [];
  const pressure: string[] = [];
  let arrived = (): void => {};
  const one = new SpdySession(
    {
      send: (data, done) => {
        sent.push(data);
        done?.();
      },
      pause: () => pressure.push('pause'),
      resume: () => pressure.push('resume'),
      close: () => pressure.push('close'),
    },
    (stream) => {
      streams.push(stream);
      arrived();
    },
  );
  const stream = async (index: number): Promise<SpdyStream> => {
    while (!streams[index])
      await new Promise<void>((resolve) => {
        arrived = resolve;
      });
    return streams[index];
  };
  return { one, sent, stream, pressure };
}

test('the words of the protocol are those of the protocol', () => {
  assert.equal(DICTIONARY.length, 1423);
  // Its checksum is in the head of what is compressed with it.
  assert.equal(emptyBlock(true).subarray(2, 6).toString('hex'), 'e3c6a7c2');
  const both = Buffer.concat([emptyBlock(true), emptyBlock(false)]);
  const inflated = inflateSync(both, { dictionary: DICTIONARY, finishFlush: constants.Z_SYNC_FLUSH });
  assert.deepEqual(inflated, Buffer.alloc(8));
});

test('streams come with their headers and data, however the bytes are cut', async () => {
  const { one, sent, stream } = session();
  const bytes = Buffer.concat([
    open(1, { Streamtype: 'error', port: '80' }, FIN),
    open(3, { streamtype: 'data', port: '80' }),
    dataFrame(3, 'hello '),
    dataFrame(3, 'world', FIN),
  ]);
  for (const byte of bytes) one.push(Buffer.from([byte]));
  const error = await stream(0);
  assert.deepEqual(error.headers, { streamtype: 'error', port: '80' });
  assert.equal(await text(error), '');
  assert.equal(await text(await stream(1)), 'hello world');
  assert.deepEqual(
    sent.map((frame) => [frame.readUInt16BE(2), frame.readUInt32BE(8)]),
    [
      [2, 1],
      [2, 3],
    ],
    'each is replied to',
  );
});

test('what is written leaves as data, and its end as FIN', async () => {
  const { one, sent, stream } = session();
  one.push(open(1, {}));
  const opened = await stream(0);
  opened.end('bye');
  await once(opened, 'finish');
  assert.deepEqual(sent.slice(1), [dataFrame(1, 'bye'), dataFrame(1, '', FIN)]);
});

test('a reset ends a stream, and what comes late for it is dropped', async () => {
  const { one, sent, stream } = session();
  one.push(open(1, {}));
  const opened = await stream(0);
  one.push(
    Buffer.concat([control(RST_STREAM, 0, Buffer.concat([number(1), number(5)])), dataFrame(1, 'late')]),
  );
  await once(opened, 'close');
  assert.equal(sent.length, 1, 'a reset is not answered by one');
});

test('a stream that is not read stops the connection, until it is', async () => {
  const { one, stream, pressure } = session();
  one.push(open(1, {}));
  const opened = await stream(0);
  const large = Buffer.concat([number(1), Buffer.from([0, 1, 0, 0]), Buffer.alloc(65_536)]);
  one.push(large);
  one.push(large);
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(pressure.includes('pause'));
  assert.ok(!pressure.includes('resume'));
  opened.resume();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(pressure.at(-1), 'resume');
});

test('pings are answered; nonsense ends the connection', async () => {
  const { one, sent, pressure } = session();
  const ping = control(PING, 0, number(7));
  one.push(ping);
  assert.deepEqual(sent, [ping]);
  one.push(control(SYN_STREAM, 0, Buffer.concat([number(1), Buffer.alloc(6), Buffer.from('nonsense')])));
  while (!pressure.includes('close')) await new Promise((resolve) => setImmediate(resolve));
});
