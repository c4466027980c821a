/** The parts of azurite that tests use: it comes without types. */
declare module 'azurite/dist/src/blob/BlobConfiguration.js' {
  export class Configuration {
    constructor(
      host: string,
      port: number,
      keepAliveSeconds: number,
      metadataPath: string,
      extentsPath: string,
      places: { locationId: string; locationPath: string; maxConcurrency: number }[],
      accessLog: boolean,
      accessLogStream: undefined,
      debugLog: boolean,
      debugLogPath: string | undefined,
      loose: boolean,
      anyVersion: boolean,
      certificate: string,
      key: string,
      password: string | undefined,
      oauth: string | undefined,
      noAccountInHostName: boolean,
    );
  }
  const module: { default: typeof Configuration };
  export default module;
}
declare module 'azurite/dist/src/blob/BlobServer.js' {
  import type { Configuration } from 'azurite/dist/src/blob/BlobConfiguration.js';

  const module: {
    default: new (configuration: Configuration) => { start(): Promise<void>; close(): Promise<void> };
  };
  export default module;
}
