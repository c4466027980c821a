/** Writing answers. */
import type { ServerResponse } from 'node:http';
import type { Form } from './accept.ts';
import { apiVersionOf } from './registry.ts';
import { type ApiError, NoSuchPath } from './status.ts';
import { tableOf } from './table.ts';
import type { KubeObject, Obj, Resource } from './types.ts';
import { outward } from './versions.ts';
import { objectText } from './watch.ts';

export const PLAIN_TEXT = 'text/plain; charset=utf-8';

/** Sends a JSON text that is already made. */
export function sendText(
  response: ServerResponse,
  code: number,
  text: string,
  contentType = 'application/json',
  warnings: string[] = [],
): void {
  if (response.headersSent || response.destroyed) return;
  const body = Buffer.from(text);
  const headers: Record<string, string | number | string[]> = {
    'Content-Type': contentType,
    'Content-Length': body.length,
    'Cache-Control': 'no-cache, private',
  };
  if (warnings.length) headers.Warning = warnings.map((text) => `299 - ${JSON.stringify(text)}`);
  response.writeHead(code, headers);
  response.end(body);
}

export function sendJson(response: ServerResponse, code: number, body: Obj, warnings: string[] = []): void {
  sendText(response, code, `${JSON.stringify(body)}\n`, 'application/json', warnings);
}

export function sendError(response: ServerResponse, error: ApiError): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  if (error.retryAfterSeconds !== undefined)
    response.setHeader('Retry-After', String(error.retryAfterSeconds));
  if (error.code === 401) response.setHeader('WWW-Authenticate', 'Bearer realm="kubernetes-master"');
  if (error instanceof NoSuchPath) sendText(response, error.code, `${error.message}\n`, PLAIN_TEXT);
  else sendJson(response, error.code, error.status());
}

const OPENAPI_2_PROTOBUF = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

/**
 * OpenAPI version 2, without a single kind: all are in version 3, and kubectl asks for this one too when a kind is in
 * neither. As protobuf a document without anything has no bytes.
 */
export function sendEmptyOpenApi2(accept: string, response: ServerResponse): void {
  if (accept.includes('protobuf')) {
    sendText(response, 200, '', OPENAPI_2_PROTOBUF);
    return;
  }
  const info = { title: 'Kubernetes', version: 'v1' };
  sendJson(response, 200, { swagger: '2.0', info, paths: {}, definitions: {} });
}

function metadataOnly(object: KubeObject): Obj {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}

/** The text of one object in the form asked for. */
export function renderObject(
  object: KubeObject,
  resource: Resource,
  form: Form,
  nowMs: number,
  withDefinitions = true,
): string {
  switch (form.as) {
    case 'object':
      return objectText(outward(object, resource), apiVersionOf(resource));
    case 'metadata':
      return JSON.stringify(metadataOnly(object));
    case 'table':
      return JSON.stringify(
        tableOf(
          resource,
          [object],
          { resourceVersion: object.metadata.resourceVersion },
          form.include,
          nowMs,
          withDefinitions,
        ),
      );
  }
}

/** The text of a list in the form asked for. */
export function renderList(
  items: KubeObject[],
  metadata: Obj,
  resource: Resource,
  form: Form,
  nowMs: number,
): string {
  if (form.as === 'table') return JSON.stringify(tableOf(resource, items, metadata, form.include, nowMs));
  if (form.as === 'metadata') {
    return JSON.stringify({
      kind: 'PartialObjectMetadataList',
      apiVersion: 'meta.k8s.io/v1',
      metadata,
      items: items.map(metadataOnly),
    });
  }
  const head = JSON.stringify({ kind: resource.listKind, apiVersion: apiVersionOf(resource), metadata });
  const text = resource.custom
    ? (object: KubeObject) => objectText(object, apiVersionOf(resource))
    : (object: KubeObject) => itemText(outward(object, resource));
  const texts = items.map(text);
  return `${head.slice(0, -1)},"items":[${texts.join(',')}]}`;
}

const itemTexts = new WeakMap<KubeObject, string>();

/** An item of a list of a built-in kind: what the list says, kind and version, its items do not. */
function itemText(object: KubeObject): string {
  let text = itemTexts.get(object);
  if (text === undefined) {
    text = JSON.stringify({ ...object, apiVersion: undefined, kind: undefined });
    itemTexts.set(object, text);
  }
  return text;
}
