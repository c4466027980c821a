/** A question to an instance, over a connection that is kept. */
import { type Agent, request } from 'node:https';
import { OperatorError } from '../errors.ts';

const LIMIT_BYTES = 1024 * 1024;

export interface InstanceQuestion {
  address: string;
  port: number;
  path: string;
  timeoutMs: number;
}

export interface InstanceAnswer {
  text: string;
  /** Its Date header. */
  date?: string;
}

/**
 * The answer, if it has status 200.
 *
 * @throws {OperatorError} `report` for any other answer; errors of the network as they come
 */
export function askInstance(agent: Agent, question: InstanceQuestion): Promise<InstanceAnswer> {
  const { address: host, port, path, timeoutMs } = question;
  const signal = AbortSignal.timeout(timeoutMs);
  const once = () =>
    new Promise<InstanceAnswer>((resolve, reject) => {
      const sent = request({ host, port, path, agent, signal }, (response) => {
        const parts: Buffer[] = [];
        let size = 0;
        response.on('data', (part: Buffer) => {
          size += part.length;
          if (size > LIMIT_BYTES) sent.destroy(new OperatorError('report', 'its answer is too long'));
          parts.push(part);
        });
        response.on('error', reject);
        response.on('end', () => {
          if (response.statusCode !== 200)
            return reject(new OperatorError('report', `it answers with status ${response.statusCode}`));
          const { date } = response.headers;
          resolve({ text: Buffer.concat(parts).toString('utf8'), ...(date ? { date } : {}) });
        });
      });
      // A kept connection may have been closed by the other side just now: that says nothing about it.
      sent.on('error', (error) => reject(Object.assign(error, { reused: sent.reusedSocket })));
      sent.end();
    });
  return once().catch((error: Error & { reused?: boolean }) => {
    if (error.reused && !signal.aborted) return once();
    throw error;
  });
}
