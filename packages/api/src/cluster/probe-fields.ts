/** `spec.probes`: how patient the kubelet is with an instance. */
import { object, optional, seconds } from '../schema.ts';

const HOUR = 3600;

const times = (description: string, more: { threshold: string; period: string; timeout: string }) =>
  object(description, {
    periodSeconds: optional(seconds(`Time between two probes. Default: ${more.period}.`, 1, HOUR)),
    timeoutSeconds: optional(seconds(`Time for an answer. Default: ${more.timeout}.`, 1, HOUR)),
    failureThreshold: optional(
      seconds(`So many failures in a row count as one. Default: ${more.threshold}.`, 1, 100_000),
    ),
  });

export const probes = object(
  'Times of the probes of each instance. What they ask stays the same: whether the instance manager answers, and whether the database serves.',
  {
    startup: optional(
      times('Until the manager answers for the first time.', {
        threshold: 'as startDelay says',
        period: '1',
        timeout: '5',
      }),
    ),
    liveness: optional(
      times('Whether the manager answers; if not, the container is started again.', {
        threshold: '3',
        period: '10',
        timeout: '5',
      }),
    ),
    readiness: optional(
      times('Whether the database serves; if not, services leave it out.', {
        threshold: '3',
        period: '1',
        timeout: '5',
      }),
    ),
  },
);
