import type { ImageConfig } from './state.ts';

/** One step of `up` or `down`, as it is reached. */
export interface Progress {
  step: string;
  message: string;
}

/** Where the running local mode can be reached. */
export interface LocalInfo {
  state: string;
  supervisorPid: number;
  /** https://127.0.0.1:PORT */
  server: string;
  apiPort: number;
  kubeconfig: string;
  nodes: NodeInfo[];
  /** Whether limits of memory and CPU are enforced, in words. */
  limits: { enforced: boolean; text: string };
  /** True when `up` found it running already. */
  alreadyRunning?: boolean;
}

export interface NodeInfo {
  name: string;
  state: 'running' | 'stopped' | 'frozen';
  isolated: boolean;
  agentPid?: number;
  pods: number;
}

export interface ComponentInfo {
  name: string;
  pid?: number;
  /** Restarts after a crash since `up`. */
  restarts: number;
}

export interface LocalStatus {
  state: string;
  running: boolean;
  /** A state folder with data is there. */
  exists: boolean;
  info?: LocalInfo;
  components: ComponentInfo[];
  /** "namespace/service:port" -> loopback port */
  relays: Record<string, number>;
}

export interface UpOptions {
  state?: string;
  /** Names, or how many (node-1, node-2, ...). Kept from config.json when not given; 3 at first. */
  nodes?: number | string[];
  /** Added to those in config.json. */
  images?: Record<string, ImageConfig>;
  /** A folder with the bundled programs (see programs.ts); the sources themselves run when not given. */
  programs?: string;
  /** The Node that runs them; default: the one that runs this. */
  node?: string;
  /** Where the API listens on 127.0.0.1; chosen once and kept when not given. */
  apiPort?: number;
  /**
   * Number of a process with which all of local mode ends (for tests); default PGHERD_DIE_WITH. Nothing is asked
   * and nothing gets grace then, the data stay.
   */
  dieWith?: number;
  onProgress?: (progress: Progress) => void;
  signal?: AbortSignal;
}

export interface DownOptions {
  state?: string;
  /** How long containers get after SIGTERM, at most; default 30000, and never more than the pod says. */
  graceMs?: number;
  onProgress?: (progress: Progress) => void;
}

export interface ResetPlan {
  state: string;
  exists: boolean;
  running: boolean;
  volumes: number;
  pods: number;
}

/** Something that keeps local mode from running here, and the remedy. */
export interface PreflightProblem {
  code: 'MissingTool' | 'NamespacesForbidden' | 'SandboxForbidden' | 'PathTooLong' | 'NotYours';
  message: string;
  hint: string;
}
