/** What carries out one type of Operation, and what it is given. */
import type { OperationStep } from '@pgherd/api';
import type { Client, Log } from '@pgherd/kube';
import type { Action } from '../cluster/actions.ts';
import type { CallAnswer } from '../cluster/connections.ts';
import type { Question } from '../cluster/controller.ts';
import type { Facts, InstanceFacts } from '../cluster/facts.ts';
import type { OperationObject } from './kind.ts';

/** What every handler knows at one moment. */
export interface BaseFacts {
  /** Milliseconds since 1970. */
  now: number;
  operation: OperationObject;
  /** Of the cluster that the operation is about. */
  cluster: Facts;
  /** What the handler wrote into `status.notes` at earlier looks. */
  notes: Readonly<Record<string, string>>;
}

/** The judgement of one look. Plain data. */
export type Outcome<A = Action> = {
  /** Kept in the status, over what is there; written before any action is carried out. */
  notes?: Record<string, string>;
  result?: Record<string, string>;
  /** Steps that turned out not to be needed. */
  skipped?: string[];
} & (
  | {
      next: 'step';
      /** The step that is under way; those before it are done. */
      step: string;
      /** What it does or waits for, for people. */
      message: string;
      progress?: OperationStep['progress'];
      actions?: A[];
      /** When to look again at the latest; default 250 ms. */
      afterMs?: number;
    }
  | { next: 'succeed'; message: string; actions?: A[] }
  | { next: 'fail'; reason: string; message: string; actions?: A[] }
);

export interface HandlerContext {
  client: Client;
  log: Log;
  signal: AbortSignal;
  /** Carries out actions as the cluster's own controller would; what failed is thrown. */
  carryOut(facts: Facts, actions: Action[]): Promise<void>;
  /** Asks the manager of an instance, over mutual TLS. Rejects when there is no answer in time. */
  ask(facts: Facts, instance: InstanceFacts, question: Question): Promise<CallAnswer>;
}

export interface HandlerDefinition<F extends BaseFacts, A> {
  /** The names of the steps, in their order. */
  steps: readonly string[];
  /** What the first look does, where it may take long: said before it. */
  begins?: string;
  defaultDeadlineSeconds: number;
  /** False for what changes nothing of the cluster: it need not wait for others to end. Default: true. */
  exclusive?: boolean;
  /** Gathers what the judgement needs beyond the facts of the cluster. */
  observe(context: HandlerContext, base: BaseFacts): Promise<F>;
  /** All judgement. Pure. */
  plan(facts: F): Outcome<A>;
  act(context: HandlerContext, facts: F, actions: A[]): Promise<void>;
  /** What to take back when it ends as Failed without the plan having said so: a deadline. Pure. */
  abandon?(facts: F): A[];
  /** How long what was taken back at the deadline may take to show whether it was in time. Default: 0. */
  calledOffMs?: number;
  /** Takes back what was begun when the cluster itself is gone; resolves with what became of it, where there is more to say. */
  withoutCluster?(context: HandlerContext, operation: OperationObject): Promise<string>;
}

/** A look at an operation: what is to be written into its status first, and what is to be done then. */
export interface Look {
  outcome: Outcome<unknown>;
  act(): Promise<void>;
  /** Takes back what was begun. False: there was nothing to take back. */
  abandon(): Promise<boolean>;
}

export interface Handler {
  steps: readonly string[];
  begins?: string;
  defaultDeadlineSeconds: number;
  exclusive: boolean;
  calledOffMs: number;
  look(context: HandlerContext, base: BaseFacts): Promise<Look>;
  withoutCluster?(context: HandlerContext, operation: OperationObject): Promise<string>;
}

/** A handler as the controller sees it: its facts and actions are its own matter. */
export function defineHandler<F extends BaseFacts, A>(definition: HandlerDefinition<F, A>): Handler {
  const { steps, begins, defaultDeadlineSeconds, withoutCluster } = definition;
  const { exclusive = true, calledOffMs = 0 } = definition;
  return {
    steps,
    ...(begins ? { begins } : {}),
    defaultDeadlineSeconds,
    exclusive,
    calledOffMs,
    ...(withoutCluster ? { withoutCluster } : {}),
    async look(context, base) {
      const facts = await definition.observe(context, base);
      const outcome = definition.plan(facts);
      const act = (actions: A[]) =>
        actions.length > 0 ? definition.act(context, facts, actions) : Promise.resolve();
      return {
        outcome,
        act: () => act(outcome.actions ?? []),
        abandon: async () => {
          const actions = definition.abandon?.(facts) ?? [];
          await act(actions);
          return actions.length > 0;
        },
      };
    },
  };
}

/** For handlers that need no more than the facts of the cluster and its controller's own actions. */
export const plain = {
  observe: async (_: HandlerContext, base: BaseFacts): Promise<BaseFacts> => base,
  act: (context: HandlerContext, facts: BaseFacts, actions: Action[]): Promise<void> =>
    context.carryOut(facts.cluster, actions),
};
