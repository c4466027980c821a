/** An operator on a real API server that can be killed: nothing of it is left but what is in the API. */
import { Client, silent } from '@pgherd/kube';
import type { CallAnswer } from '../cluster/connections.ts';
import { createClusterController, type Question } from '../cluster/controller.ts';
import { createOperationController } from '../operation/controller.ts';
import type { Stage } from './instances.ts';

export interface OperateOptions {
  /** What instances answer to questions other than for their report. */
  answer?(instance: string, question: Question): CallAnswer;
  /** So many writes it makes, events apart; then it is dead. Default: it lives until it is stopped. */
  writes?: number;
}

export interface TestOperator {
  stop(): Promise<void>;
  /** Resolves when it is dead. */
  dead: Promise<void>;
}

/** Makes a number of writes; whatever is tried after the last of them fails. */
class MortalClient extends Client {
  private left: number;
  private readonly die: () => void;

  constructor(alive: Client, writes: number, die: () => void) {
    super(alive.config);
    this.left = writes;
    this.die = die;
  }

  override async text(request: Parameters<Client['text']>[0]): Promise<string> {
    const { method = 'GET', path } = request;
    if (this.left <= 0) throw new Error('this operator is dead');
    const counts = method !== 'GET' && !path.includes('/events');
    if (counts) this.left -= 1;
    try {
      return await super.text(request);
    } finally {
      // The write is there, and whatever was to follow it is not done.
      if (counts && this.left <= 0) this.die();
    }
  }
}

/** Runs the controllers of Clusters and Operations with the operator's rights. */
export function operate(client: Client, stage: Stage, o: OperateOptions = {}): TestOperator {
  const abort = new AbortController();
  const mortal = new MortalClient(client, o.writes ?? Number.POSITIVE_INFINITY, () => abort.abort());
  const common = { client: mortal, namespaces: ['default'], log: silent };
  const clusters = createClusterController({
    ...common,
    operatorImage: 'pgherd:test',
    reports: stage.reports,
  });
  const operations = createOperationController({
    ...common,
    clusters: {
      synced: () => clusters.synced(),
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
  const dead = Promise.allSettled([clusters.run(abort.signal), operations.run(abort.signal)]).then(() => {
    mortal.close();
  });
  return {
    dead,
    async stop() {
      abort.abort();
      await dead;
    },
  };
}
