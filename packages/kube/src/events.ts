import { randomBytes } from 'node:crypto';
import { backoffMs } from './backoff.ts';
import type { Client } from './client.ts';
import { isKubeError } from './errors.ts';
import { kinds } from './kinds.ts';
import type { CoreEvent, KubeObject } from './objects.ts';
import { time } from './times.ts';
import { type Log, silent } from './types.ts';

export interface EventRecorderOptions {
  log?: Log;
  /** Which one of several of this component: a pod's name. */
  instance?: string;
}

export interface EventRecorder {
  /** Records; never throws and never waits. The same again within ten minutes only raises the count. */
  (object: KubeObject, type: 'Normal' | 'Warning', reason: string, message: string): void;
  /** Resolves when all that was recorded is sent (or given up). */
  flush(): Promise<void>;
}

interface Known {
  event: CoreEvent;
  count: number;
  sentCount: number;
  sentAt: number;
  lastAt: number;
  busy: boolean;
  failures: number;
}

const SAME_FOR_MS = 600_000;
/** The count of a repeated event is written at most this often. */
const REPEAT_MS = 10_000;
const MAX_FAILURES = 8;
const MAX_KNOWN = 500;
/** The API's limit for a message. */
const MAX_MESSAGE = 1024;

/** A recorder of events (core/v1) for one component. */
export function createEventRecorder(
  client: Client,
  component: string,
  options: EventRecorderOptions = {},
): EventRecorder {
  const recorder = new Recorder(client, component, options);
  return Object.assign(recorder.record.bind(recorder), { flush: () => recorder.flush() });
}

class Recorder {
  private readonly client: Client;
  private readonly component: string;
  private readonly options: EventRecorderOptions;
  private readonly log: Log;
  private readonly known = new Map<string, Known>();
  private readonly sending = new Set<Promise<void>>();
  /** False once the API has said that we may create events but not patch them. */
  private mayPatch = true;

  constructor(client: Client, component: string, options: EventRecorderOptions) {
    this.client = client;
    this.component = component;
    this.options = options;
    this.log = options.log ?? silent;
  }

  record(object: KubeObject, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const now = Date.now();
    const { uid, name, namespace } = object.metadata;
    const key = [object.kind, namespace, name, uid, type, reason, message].join('\0');
    let known = this.known.get(key);
    if (!known || now - known.lastAt > SAME_FOR_MS) {
      known = {
        event: this.build(object, type, reason, message),
        count: 0,
        sentCount: 0,
        sentAt: 0,
        lastAt: 0,
        busy: false,
        failures: 0,
      };
    }
    known.count++;
    known.lastAt = now;
    // Last used last, so that the first of the map is the one to forget.
    this.known.delete(key);
    this.known.set(key, known);
    if (this.known.size > MAX_KNOWN) this.known.delete(this.known.keys().next().value!);
    this.schedule(known);
  }

  async flush(): Promise<void> {
    while (this.sending.size > 0) await Promise.all(this.sending);
  }

  private schedule(known: Known, atLeastMs = 0): void {
    if (known.busy) return;
    known.busy = true;
    const repeatMs = known.sentCount === 0 ? 0 : known.sentAt + REPEAT_MS - Date.now();
    const waitMs = Math.max(atLeastMs, repeatMs);
    if (waitMs <= 0) this.send(known);
    else setTimeout(() => this.send(known), waitMs).unref();
  }

  private send(known: Known): void {
    const sent = this.write(known)
      .catch((error) => this.failed(known, error))
      .finally(() => {
        this.sending.delete(sent);
        known.busy = false;
        known.sentAt = Date.now();
        if (known.count <= known.sentCount || known.failures > MAX_FAILURES) return;
        if (known.failures > 0) this.schedule(known, backoffMs(known.failures - 1, 500, 10_000));
        else if (this.mayPatch) this.schedule(known);
      });
    this.sending.add(sent);
  }

  /** What happens while the API is away is often what people want to read about afterwards. */
  private failed(known: Known, error: unknown): void {
    const fields = { reason: known.event.reason, error: String(error) };
    this.log.debug(fields, 'an event could not be recorded');
    if (isKubeError(error, 'Unreachable', 'Timeout', 'Unavailable', 'TooManyRequests', 'ServerError'))
      known.failures++;
    else known.sentCount = known.count;
  }

  private async write(known: Known): Promise<void> {
    const { count, event } = known;
    const lastTimestamp = time(new Date(known.lastAt));
    if (known.sentCount === 0) {
      await this.client.create(kinds.Event, { ...event, count, lastTimestamp });
      known.sentCount = count;
      known.failures = 0;
      return;
    }
    if (!this.mayPatch) return;
    try {
      await this.client.patch(kinds.Event, event.metadata, { type: 'merge', body: { count, lastTimestamp } });
      known.sentCount = count;
      known.failures = 0;
    } catch (error) {
      if (isKubeError(error, 'Forbidden')) this.mayPatch = false;
      else if (isKubeError(error, 'NotFound')) known.sentCount = 0;
      else throw error;
    }
  }

  private build(object: KubeObject, type: string, reason: string, message: string): CoreEvent {
    const { name, namespace = 'default', uid, resourceVersion } = object.metadata;
    const unique = `${Date.now().toString(16)}${randomBytes(3).toString('hex')}`;
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name.slice(0, 200)}.${unique}`, namespace },
      involvedObject: {
        apiVersion: object.apiVersion,
        kind: object.kind,
        name,
        namespace: object.metadata.namespace,
        uid,
        resourceVersion,
      },
      type,
      reason,
      message: message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE - 1)}…` : message,
      source: { component: this.component, host: this.options.instance },
      reportingComponent: this.component,
      reportingInstance: this.options.instance ?? '',
      firstTimestamp: time(new Date()),
    };
  }
}
