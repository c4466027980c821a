/** Patroni's REST interface, through the relay's sockets. */
import { request } from 'node:http';

export interface PatroniMember {
  name: string;
  role: string;
  state: string;
  lag?: number | 'unknown';
}

const TIMEOUT_MS = 3_000;

/** Sends one request; resolves with the answer's status and body, whatever they are. */
export function ask(
  socketPath: string,
  method: string,
  path: string,
  body?: object,
  timeoutMs = TIMEOUT_MS,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const req = request(
      { socketPath, method, path, headers: { 'content-type': 'application/json' }, timeout: timeoutMs },
      (res) => {
        let text = '';
        res.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        res.once('end', () => resolve({ status: res.statusCode ?? 0, text }));
        res.once('error', reject);
      },
    );
    req.once('timeout', () => req.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    req.once('error', reject);
    req.end(body ? JSON.stringify(body) : undefined);
  });
}

/** What a member says of all of them. */
export async function membersOf(socketPath: string): Promise<PatroniMember[]> {
  const { status, text } = await ask(socketPath, 'GET', '/cluster');
  if (status !== 200) throw new Error(`Patroni answers ${status}: ${text}`);
  return (JSON.parse(text) as { members: PatroniMember[] }).members;
}
