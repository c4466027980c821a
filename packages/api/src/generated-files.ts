/** Every file of the repository that is made from this package's schemas. */
import { stringify } from 'yaml';
import { customResourceDefinitions } from './crd.ts';
import { KINDS } from './kinds.ts';
import { API_VERSION } from './names.ts';
import { referencePage } from './reference.ts';
import { structural } from './structural.ts';

export interface GeneratedFile {
  /** Relative to the repository. */
  path: string;
  content: string;
}

/** The generated files as they ought to be. */
export function generatedFiles(): GeneratedFile[] {
  const crds = customResourceDefinitions().map((crd) => ({
    path: `deploy/crds/${crd.spec.group}_${crd.spec.names.plural}.yaml`,
    content: `# Generated from the schema by npm run generate: do not edit.\n${stringify(crd, { lineWidth: 0, aliasDuplicateObjects: false })}`,
  }));
  const pages = KINDS.map(({ kind, singular, schema }) => ({
    path: `docs/reference/${singular}.md`,
    content: referencePage(kind, API_VERSION, structural(schema)),
  }));
  return [...crds, ...pages];
}
