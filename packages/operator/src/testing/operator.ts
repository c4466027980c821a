/** An operator on a real API server that can be killed: nothing of it is left but what is in the API. */
import { type Client, silent } from '@pgherd/kube';
import type { CallAnswer } from '../cluster/connections.ts';
import { createClusterController, type Question } from '../cluster/controller.ts';
import { createOperationController } from '../operation/controller.ts';
import type { Stage } from './instances.ts';

export interface OperateOptions {
  /** What instances answer to questions other than for their report. */
  answer?(instance: string, question: Question): CallAnswer;
}

export interface TestOperator {
  stop(): Promise<void>;
}

/** Runs the controllers of Clusters and Operations with the operator's rights. */
export function operate(client: Client, stage: Stage, o: OperateOptions = {}): TestOperator {
  const abort = new AbortController();
  const common = { client, namespaces: ['default'], log: silent };
  const clusters = createClusterController({
    ...common,
    operatorImage: 'pgherd:test',
    reports: stage.reports,
  });
  const operations = createOperationController({
    ...common,
    clusters: {
      synced: () => clusters.synced(),
      find: (namespace, name) => clusters.find(namespace, name),
      marked: () => clusters.marked(),
      observe: (namespace, name, signal) => clusters.observe(namespace, name, signal),
      carryOut: (facts, actions, signal) => clusters.carryOut(facts, actions, signal),
      nudge: (namespace, name) => clusters.nudge(namespace, name),
      verified: (...found) => clusters.verified(...found),
      ask: async (facts, instance, question) =>
        o.answer ? o.answer(instance.name, question) : clusters.ask(facts, instance, question),
    },
  });
  clusters.start(abort.signal);
  operations.start(abort.signal);
  const running = Promise.allSettled([clusters.run(abort.signal), operations.run(abort.signal)]);
  return {
    async stop() {
      abort.abort();
      await running;
    },
  };
}
