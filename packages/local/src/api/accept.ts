/** What form of answer a client wants. */
import type { IncludeObject } from './table.ts';

export type Form = { as: 'object' } | { as: 'table'; include: IncludeObject } | { as: 'metadata' };

/** Reads Accept and the `includeObject` parameter: the first form that we can give wins. */
export function formOf(accept: string | undefined, query: URLSearchParams): Form {
  for (const part of (accept ?? '').split(',')) {
    const [type, ...parameters] = part
      .trim()
      .split(';')
      .map((one) => one.trim());
    if (type !== 'application/json' && type !== '*/*') continue;
    const wanted = parameters.find((one) => one.startsWith('as='))?.slice(3);
    if (wanted === 'Table' && parameters.includes('v=v1')) return { as: 'table', include: includeOf(query) };
    if (wanted === 'PartialObjectMetadata' || wanted === 'PartialObjectMetadataList')
      return { as: 'metadata' };
    if (wanted === undefined) return { as: 'object' };
  }
  return { as: 'object' };
}

function includeOf(query: URLSearchParams): IncludeObject {
  const value = query.get('includeObject');
  return value === 'Object' || value === 'None' ? value : 'Metadata';
}
