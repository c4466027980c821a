/** Request bodies: JSON, YAML, and Kubernetes' protobuf. */
import type { IncomingMessage } from 'node:http';
import { ApiError, badRequest, unsupportedMediaType } from './status.ts';

const LIMIT = 3 * 1024 * 1024;

/** Reads a body to its end; refuses one over 3 MiB with 413. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > LIMIT)
      throw new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${LIMIT}`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The media type of a request, without parameters; empty when there is none. */
export function mediaType(request: IncomingMessage): string {
  return (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

/** Decodes a body by its media type. An empty body is undefined. */
export async function decodeBody(data: Buffer, type: string): Promise<unknown> {
  if (data.length === 0) return undefined;
  if (type === 'application/vnd.kubernetes.protobuf') {
    const { decodeEnvelope } = await import('./protobuf.ts');
    return decodeEnvelope(data);
  }
  if (type.includes('yaml')) return parseYaml(data.toString('utf8'));
  if (
    type === '' ||
    type.includes('json') ||
    type === 'application/x-www-form-urlencoded' ||
    type === 'text/plain'
  )
    return parseJson(data.toString('utf8'));
  throw unsupportedMediaType(
    `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf`,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badRequest(`the body of the request is not JSON: ${(error as Error).message}`);
  }
}

/** YAML, of which JSON is a part. */
async function parseYaml(text: string): Promise<unknown> {
  // Most that comes as YAML is JSON, which parses faster as such.
  try {
    return JSON.parse(text);
  } catch {
    // Then it is YAML proper.
  }
  const { parse } = await import('yaml');
  try {
    return parse(text, { merge: true });
  } catch (error) {
    throw badRequest(`the body of the request is not YAML: ${(error as Error).message.split('\n')[0]}`);
  }
}
