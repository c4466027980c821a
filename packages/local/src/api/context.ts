/** What every part of a write needs to know about its request. */
import type { Resource, User } from './types.ts';

export interface WriteContext {
  user: User;
  resource: Resource;
  namespace: string | undefined;
  /** Undefined for POST to a collection. */
  name: string | undefined;
  subresource: string | undefined;
  /** Who is recorded in managedFields. */
  manager: string;
  dryRun: boolean;
  fieldValidation: 'Strict' | 'Warn' | 'Ignore';
  /** Texts for `Warning` headers. */
  warnings: string[];
}
