import type { ClientConfig } from './config.ts';

/** Reads a kubeconfig: `path`, else KUBECONFIG, else ~/.kube/config. */
export declare function loadKubeconfig(options?: { path?: string; context?: string }): Promise<ClientConfig>;
