import type { EffectiveSpec } from '@pgherd/api';
import type { InitialiseSpec } from '../database/types.ts';

/** What the spec refers to, read from the API. */
export interface BootstrapInputs {
  ownerPassword?: string;
  superuserPassword?: string;
  /** Texts of the referenced ConfigMaps and Secrets, in the order of the spec. */
  sql: { postInit: string[]; postInitApplication: string[]; postInitTemplate: string[] };
}

/** Makes what `Database.initialise` wants out of the spec. Texts of references come after the inline ones. */
export function initialiseSpec(eff: EffectiveSpec, inputs: BootstrapInputs): InitialiseSpec {
  const { initdb } = eff;
  return {
    encoding: initdb.encoding,
    locale: initdb.locale,
    ...(initdb.localeCollate ? { localeCollate: initdb.localeCollate } : {}),
    ...(initdb.localeCType ? { localeCType: initdb.localeCType } : {}),
    ...(initdb.localeProvider ? { localeProvider: initdb.localeProvider } : {}),
    ...(initdb.icuLocale ? { icuLocale: initdb.icuLocale } : {}),
    ...(initdb.icuRules ? { icuRules: initdb.icuRules } : {}),
    ...(initdb.builtinLocale ? { builtinLocale: initdb.builtinLocale } : {}),
    dataChecksums: initdb.dataChecksums,
    walSegmentSizeMB: initdb.walSegmentSize,
    database: initdb.database,
    owner: initdb.owner,
    ...(inputs.ownerPassword === undefined ? {} : { ownerPassword: inputs.ownerPassword }),
    ...(inputs.superuserPassword === undefined ? {} : { superuserPassword: inputs.superuserPassword }),
    postInitSQL: [...initdb.postInitSQL, ...inputs.sql.postInit],
    postInitApplicationSQL: [...initdb.postInitApplicationSQL, ...inputs.sql.postInitApplication],
    postInitTemplateSQL: [...initdb.postInitTemplateSQL, ...inputs.sql.postInitTemplate],
  };
}
