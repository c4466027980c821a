/**
 * What leaders and candidates ask of the other instances beside their reports: grants (may I go on without the API?)
 * and promises (receive no more WAL, and say how far you are). Both sides of it; the machine decides the answers.
 */
import type { Action, Event, GrantAnswer, Now, PromiseAnswer } from '@pgherd/ha';
import { PROMISE_MS } from '@pgherd/ha';
import { readClocks } from './clock.ts';
import type { PeersClient } from './peers-client.ts';

export interface AssentOptions {
  instance: string;
  /** Name of this manager as a holder of the Lease: what grants are given to. */
  identity: string;
  peers: PeersClient;
  addressOf(instance: string): string | undefined;
  feed(event: Event): void;
  /** Notes a grant before it is answered; throws when it cannot. */
  note(to: string, epoch: number): void;
}

type Ask<T extends Action['type']> = Extract<Action, { type: T }>;

export class Assent {
  readonly #o: AssentOptions;
  readonly #grants = new Map<string, (answer: GrantAnswer) => void>();
  readonly #promises = new Map<string, (answer: PromiseAnswer) => void>();
  #nextId = 1;

  constructor(options: AssentOptions) {
    this.#o = options;
  }

  // --- asked --------------------------------------------------------------------------------------------------

  /** A leader asks. The machine answers in the same step: nothing is waited for. */
  async grant(question: { leader: string; epoch: number }): Promise<GrantAnswer> {
    const id = `g${this.#nextId++}`;
    const answer = new Promise<GrantAnswer>((resolve) => this.#grants.set(id, resolve));
    this.#o.feed({ type: 'grantAsked', id, ...question });
    return this.#inTime(id, this.#grants, answer);
  }

  /** A candidate asks. The answer comes when all WAL is cut off, or when the machine refuses. */
  async promise(question: { candidate: string; epoch: number; version: string }): Promise<PromiseAnswer> {
    const id = `p${this.#nextId++}`;
    const answer = new Promise<PromiseAnswer>((resolve) => this.#promises.set(id, resolve));
    this.#o.feed({ type: 'promiseAsked', id, ...question });
    return this.#inTime(id, this.#promises, answer);
  }

  /** The machine has decided; an answer that comes too late has nobody who waits for it. */
  answer(action: Ask<'answerGrant'> | Ask<'answerPromise'>): void {
    if (action.type === 'answerGrant') this.#grants.get(action.id)?.(this.#noted(action.answer));
    else this.#promises.get(action.id)?.(action.answer);
  }

  /** What could not be noted was not granted. */
  #noted(answer: GrantAnswer): GrantAnswer {
    if (!('granted' in answer)) return answer;
    try {
      this.#o.note(answer.granted.to, answer.granted.epoch);
      return answer;
    } catch (error) {
      return { name: this.#o.instance, refused: `the grant could not be noted: ${(error as Error).message}` };
    }
  }

  async #inTime<T>(
    id: string,
    pending: Map<string, (answer: T) => void>,
    answer: Promise<T>,
  ): Promise<T | { name: string; refused: string }> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<{ name: string; refused: string }>((resolve) => {
      const refused = { name: this.#o.instance, refused: 'no answer in time' };
      timer = setTimeout(() => resolve(refused), PROMISE_MS);
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
      pending.delete(id);
    }
  }

  // --- asking -------------------------------------------------------------------------------------------------

  /** Asks all of them in parallel; the answers are fed together, since all of them are needed. */
  async askGrants({ names, epoch, timeoutMs }: Ask<'askGrants'>): Promise<void> {
    const askedAt: Now = readClocks();
    const query = new URLSearchParams({ leader: this.#o.identity, epoch: String(epoch) });
    const answers = await this.#each<GrantAnswer>(names, (address) =>
      this.#o.peers.call<GrantAnswer>(address, { path: `/grant?${query}`, timeoutMs }),
    );
    this.#o.feed({ type: 'grants', askedAt, epoch, answers: Object.fromEntries(answers) });
  }

  /** Asks all of them in parallel; each answer is fed as it comes, since the first ones may be enough. */
  async askPromises({ names, epoch, version, timeoutMs }: Ask<'askPromises'>): Promise<void> {
    const body = { candidate: this.#o.instance, epoch, version };
    const tell = (name: string, answer: PromiseAnswer | null) =>
      this.#o.feed({ type: 'promises', epoch, version, answers: { [name]: answer } });
    await this.#each<PromiseAnswer>(
      names,
      (address) => this.#o.peers.call<PromiseAnswer>(address, { path: '/promise', body, timeoutMs }),
      tell,
    );
  }

  /** An answer counts only from the one who was asked. */
  #each<T extends { name: string }>(
    names: string[],
    ask: (address: string) => Promise<T>,
    each: (name: string, answer: T | null) => void = () => undefined,
  ): Promise<(readonly [string, T | null])[]> {
    return Promise.all(
      names.map(async (name) => {
        const address = this.#o.addressOf(name);
        const answer = address ? await ask(address).catch(() => null) : null;
        const own = answer?.name === name ? answer : null;
        each(name, own);
        return [name, own] as const;
      }),
    );
  }
}
