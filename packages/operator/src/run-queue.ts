import type { EventRecorder, Queue } from '@pgherd/kube';

/** Runs a queue until the signal; then lets what is under way, and the events that tell of it, come to their end. */
export async function runQueue(queue: Queue, event: EventRecorder, signal: AbortSignal): Promise<void> {
  queue.start(signal);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await queue.idle();
  await event.flush();
}
