import type { Stage } from './stage.ts';

/** One thing that happens to a cluster, and what must be true afterwards. */
export interface Scenario {
  /** Short, for --only. */
  name: string;
  /** What happens, in a user's words. */
  title: string;
  /** `local`: only local mode can do it. `own`: a local mode of its own, since it breaks more than its cluster. */
  needs?: 'local' | 'own';
  /** Why another cluster cannot show it; for scenarios that need local mode. */
  because?: string;
  /** What its namespace lets pods do; by default the least, "restricted". */
  podSecurity?: 'restricted' | 'baseline' | 'privileged';
  /** How many nodes its own local mode has; 3 by default. */
  nodes?: number;
  /**
   * Acts on the cluster of three that all such scenarios share (`Stage.sharedCluster`): takes it as others left it, and
   * leaves it whole.
   */
  shares?: true;
  /** May run at the same time as another: it measures no time, and touches nothing but its own namespace. */
  alongside?: true;
  timeoutMs?: number;
  run(stage: Stage): Promise<void>;
}
