/** Kubernetes' protobuf: the `k8s\0` envelope and the messages in it, as JSON. */

import { definition, definitionName } from './schema/builtin.ts';
import messages from './schema/protobuf.json' with { type: 'json' };
import { badRequest, unsupportedMediaType } from './status.ts';
import type { Obj } from './types.ts';

type Field = [name: string, type: string, label: '' | 'plain' | 'repeated' | 'map'];
const MESSAGES = messages as unknown as Record<string, Record<string, Field>>;

const MAGIC = Buffer.from('k8s\0');
const META = 'io.k8s.apimachinery.pkg.apis.meta.v1.';

interface Reader {
  data: Buffer;
  at: number;
}

function varint(reader: Reader): bigint {
  let value = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = reader.data[reader.at++];
    if (byte === undefined) throw badRequest('the protobuf body ends in the middle of a number');
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  throw badRequest('the protobuf body holds a number that is too long');
}

/** The fields of a message as they lie on the wire: number and raw value. */
function* rawFields(data: Buffer): Generator<{ number: number; value: bigint | Buffer }> {
  const reader: Reader = { data, at: 0 };
  while (reader.at < data.length) {
    const key = Number(varint(reader));
    const number = key >> 3;
    switch (key & 7) {
      case 0:
        yield { number, value: varint(reader) };
        break;
      case 1:
        reader.at += 8;
        yield { number, value: data.subarray(reader.at - 8, reader.at) };
        break;
      case 2: {
        const length = Number(varint(reader));
        reader.at += length;
        if (reader.at > data.length) throw badRequest('the protobuf body is cut short');
        yield { number, value: data.subarray(reader.at - length, reader.at) };
        break;
      }
      case 5:
        reader.at += 4;
        yield { number, value: data.subarray(reader.at - 4, reader.at) };
        break;
      default:
        throw badRequest('the protobuf body cannot be read');
    }
  }
}

/** Decodes an envelope into the JSON form of its object; 415 for kinds whose messages we do not have. */
export function decodeEnvelope(data: Buffer): Obj {
  if (!data.subarray(0, 4).equals(MAGIC)) throw badRequest('the protobuf body lacks its envelope');
  let apiVersion = '';
  let kind = '';
  let raw: Buffer = Buffer.alloc(0);
  for (const { number, value } of rawFields(data.subarray(4))) {
    if (number === 1) {
      for (const part of rawFields(value as Buffer)) {
        if (part.number === 1) apiVersion = String(part.value);
        if (part.number === 2) kind = String(part.value);
      }
    } else if (number === 2) raw = value as Buffer;
  }
  const name = messageName(apiVersion, kind);
  if (!name) {
    throw unsupportedMediaType(
      `protobuf bodies of kind ${kind} (${apiVersion}) are not understood here: use "kubectl create -f FILE"`,
    );
  }
  return { apiVersion, kind, ...(decodeMessage(raw, name) as Obj) };
}

function messageName(apiVersion: string, kind: string): string | undefined {
  const slash = apiVersion.indexOf('/');
  const [group, version] =
    slash < 0 ? ['', apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)];
  const candidates = [definitionName(group, version, kind), `${META}${kind}`];
  return candidates.find((name) => name !== undefined && name in MESSAGES);
}

function decodeMessage(data: Buffer, name: string): unknown {
  const special = SPECIAL[name];
  if (special) return special(data);
  const fields = MESSAGES[name];
  if (!fields)
    throw unsupportedMediaType(
      `protobuf message ${name} is not understood here: use "kubectl create -f FILE"`,
    );
  const known = definition(name)?.properties;
  const result: Obj = {};
  for (const { number, value } of rawFields(data)) {
    const field = fields[number];
    if (field) putField(result, field, value, known);
  }
  return result;
}

function putField(result: Obj, field: Field, value: bigint | Buffer, known: Obj | undefined): void {
  const [key, type, label] = field;
  if (label === 'map') {
    if (typeof result[key] !== 'object') result[key] = {};
    putEntry(result[key] as Obj, value as Buffer, type);
  } else if (label === 'repeated') {
    if (!Array.isArray(result[key])) result[key] = [];
    (result[key] as unknown[]).push(scalarOrMessage(value, type));
  } else {
    const decoded = scalarOrMessage(value, type);
    // Go writes embedded structs as messages of their own; JSON has them inline.
    if (known && !(key in known) && typeof decoded === 'object' && decoded !== null)
      Object.assign(result, decoded);
    else if (!isEmpty(decoded, key) && !(label === 'plain' && (decoded === 0 || decoded === false)))
      result[key] = decoded;
  }
}

/** Go sends empty strings of fields that are not pointers; JSON leaves them out. */
function isEmpty(value: unknown, key: string): boolean {
  return (
    value === '' ||
    value === null ||
    (key === 'status' && typeof value === 'object' && value !== null && Object.keys(value).length === 0)
  );
}

function putEntry(map: Obj, entry: Buffer, type: string): void {
  let key = '';
  let value: unknown = type === 'string' || type === 'bytes' ? '' : {};
  for (const part of rawFields(entry)) {
    if (part.number === 1) key = String(part.value);
    else if (part.number === 2) value = scalarOrMessage(part.value, type);
  }
  map[key] = value;
}

function scalarOrMessage(value: bigint | Buffer, type: string): unknown {
  switch (type) {
    case 'string':
      return (value as Buffer).toString('utf8');
    case 'bytes':
      return (value as Buffer).toString('base64');
    case 'bool':
      return value !== 0n;
    case 'int32':
    case 'int64':
      return Number(BigInt.asIntN(64, value as bigint));
    case 'uint32':
    case 'uint64':
      return Number(value);
    case 'double':
      return (value as Buffer).readDoubleLE();
    case 'float':
      return (value as Buffer).readFloatLE();
    default:
      return decodeMessage(value as Buffer, type);
  }
}

function first(data: Buffer, number: number): bigint | Buffer | undefined {
  for (const field of rawFields(data)) if (field.number === number) return field.value;
  return undefined;
}

function time(data: Buffer, micro: boolean): string | null {
  if (data.length === 0) return null;
  const seconds = Number(BigInt.asIntN(64, (first(data, 1) as bigint | undefined) ?? 0n));
  const nanos = Number((first(data, 2) as bigint | undefined) ?? 0n);
  const whole = new Date(seconds * 1000).toISOString().slice(0, 19);
  return micro ? `${whole}.${String(Math.floor(nanos / 1000)).padStart(6, '0')}Z` : `${whole}Z`;
}

/** Messages whose JSON form is not an object of their fields. */
const SPECIAL: Record<string, (data: Buffer) => unknown> = {
  [`${META}Time`]: (data) => time(data, false),
  [`${META}MicroTime`]: (data) => time(data, true),
  [`${META}FieldsV1`]: (data) => JSON.parse(String(first(data, 1) ?? '{}')) as unknown,
  'io.k8s.apimachinery.pkg.api.resource.Quantity': (data) => String(first(data, 1) ?? '0'),
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': (data) =>
    first(data, 1) === 1n
      ? String(first(data, 3) ?? '')
      : Number(BigInt.asIntN(64, (first(data, 2) as bigint | undefined) ?? 0n)),
};
