/** OpenAPI v3 documents. */
import type { Registry } from './registry.ts';

/** The text of a document under /openapi/v3, or undefined. */
export function openApiDocument(_registry: Registry, _path: string): string | undefined {
  return undefined;
}
