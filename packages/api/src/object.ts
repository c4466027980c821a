/** What every object of our kinds has around its spec. */
import { type TProperties, type TUnsafe, Type } from 'typebox';
import { NAME_PATTERN } from './names.ts';
import { object, type Rule, text } from './schema.ts';

/** `metadata` as pgherd reads it; an object from the API has more. */
export interface ObjectMetadata {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
}

/** The schema of a kind: `parts` are its spec and its status. */
export function kindObject<P extends TProperties>(description: string, parts: P, rules: Rule[]) {
  return object(
    description,
    {
      apiVersion: text(
        'Version of the schema of this object. More: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources',
      ),
      kind: text(
        'Kind of this object. More: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds',
      ),
      metadata: Type.Unsafe({ type: 'object' }) as TUnsafe<ObjectMetadata>,
      ...parts,
    },
    { rules },
  );
}

/** Rules for a name that becomes part of the names of pods and services; `longest` in characters. */
export function nameRules(longest: number, why: string): Rule[] {
  return [
    {
      rule: `self.metadata.name.matches('${NAME_PATTERN}')`,
      message: `metadata.name must be lower-case letters, digits and dashes, begin with a letter and hold no dot: ${why}`,
    },
    {
      rule: `self.metadata.name.size() <= ${longest}`,
      message: `metadata.name must be at most ${longest} characters: the names of pods and services are made from it`,
    },
  ];
}
