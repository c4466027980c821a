import { InstanceError } from './errors.ts';

/** Who this manager is, from its pod's environment. */
export interface Environment {
  instance: string;
  namespace: string;
  podUID: string;
  podIP: string;
  cluster: string;
  pgdata: string;
}

/** Reads the environment; throws InstanceError `BadEnvironment` naming what is missing. */
export function readEnvironment(env: NodeJS.ProcessEnv): Environment {
  const value = (name: string): string => {
    const text = env[name];
    if (!text) {
      throw new InstanceError('BadEnvironment', `starting the instance manager: ${name} is not set`, {
        hint: 'the manager runs in the pods that the operator makes; it is of no use elsewhere',
      });
    }
    return text;
  };
  return {
    instance: value('POD_NAME'),
    namespace: value('POD_NAMESPACE'),
    podUID: value('POD_UID'),
    podIP: value('POD_IP'),
    cluster: value('CLUSTER_NAME'),
    pgdata: value('PGDATA'),
  };
}
