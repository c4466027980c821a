/** What a URL asks for. */
import { isTrue } from '../query.ts';
import type { User } from './types.ts';

/** A parsed request to a resource, or to a plain path. */
export interface RequestInfo {
  method: string;
  path: string;
  query: URLSearchParams;
  /** Undefined for paths outside /api and /apis, and for discovery. */
  target?: Target;
  verb: string;
}

/** The resource part of a URL. */
export interface Target {
  group: string;
  version: string;
  plural: string;
  namespace?: string;
  name?: string;
  /** `status`, `scale`, ...; deeper paths (proxy) keep their slashes. */
  subresource?: string;
}

/** Reads method and URL. Percent-encoded names are decoded; a malformed encoding counts as a missing path. */
export function parseRequest(method: string, url: string): RequestInfo {
  const split = url.indexOf('?');
  const path = split < 0 ? url : url.slice(0, split);
  const query = new URLSearchParams(split < 0 ? '' : url.slice(split + 1));
  const target = parseTarget(path);
  return { method, path, query, target, verb: verbOf(method, query, target) };
}

function parseTarget(path: string): Target | undefined {
  const parts = decodeParts(path);
  if (!parts) return undefined;
  if (parts[0] === 'api' && parts.length > 2) return inGroup('', parts[1] as string, parts.slice(2));
  if (parts[0] === 'apis' && parts.length > 3)
    return inGroup(parts[1] as string, parts[2] as string, parts.slice(3));
  return undefined;
}

function decodeParts(path: string): string[] | undefined {
  try {
    return path.split('/').filter(Boolean).map(decodeURIComponent);
  } catch {
    return undefined;
  }
}

function inGroup(group: string, version: string, rest: string[]): Target | undefined {
  // `/namespaces/NS/PLURAL/...` is scoped; `/namespaces/NS` and its own subresources are the Namespace itself.
  const ownSubresource = rest.length === 3 && (rest[2] === 'status' || rest[2] === 'finalize');
  const scoped = rest[0] === 'namespaces' && rest.length >= 3 && !ownSubresource;
  const [plural, name, ...sub] = scoped ? rest.slice(2) : rest;
  if (!plural) return undefined;
  const target: Target = { group, version, plural };
  if (scoped) target.namespace = rest[1];
  if (!scoped && plural === 'namespaces' && group === '' && name) target.namespace = name;
  if (name) target.name = name;
  if (sub.length) target.subresource = sub.join('/');
  return target;
}

function verbOf(method: string, query: URLSearchParams, target: Target | undefined): string {
  if (!target) return method.toLowerCase();
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (target.name) return 'get';
      return isWatch(query) ? 'watch' : 'list';
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return target.name ? 'delete' : 'deletecollection';
    default:
      return method.toLowerCase();
  }
}

/** Whether a query asks for a watch. */
function isWatch(query: URLSearchParams): boolean {
  return isTrue(query.get('watch'));
}

/** What an authorizer needs to know. */
export interface Attributes {
  user: User;
  verb: string;
  group: string;
  resource: string;
  subresource?: string;
  namespace?: string;
  name?: string;
  /** Set instead of the resource for paths outside the resource tree. */
  path?: string;
}
