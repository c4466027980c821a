import { createServer, type Server } from 'node:http';
import type { OperatorMetrics } from './metrics.ts';

export interface HealthOptions {
  port: number;
  metrics: OperatorMetrics;
  /** True once the caches are filled. */
  ready: () => boolean;
}

/** Serves /healthz, /readyz and /metrics; resolves when it listens. Plain HTTP: nothing secret is there. */
export function serveHealth({ port, metrics, ready }: HealthOptions): Promise<Server> {
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0];
    const say = (status: number, text: string, type = 'text/plain; charset=utf-8') =>
      response.writeHead(status, { 'content-type': type }).end(text);
    if (path === '/healthz') say(200, 'ok\n');
    else if (path === '/readyz' && ready()) say(200, 'ok\n');
    else if (path === '/readyz') say(503, 'caches are being filled\n');
    else if (path === '/metrics')
      metrics.text().then(
        (text) => say(200, text, metrics.contentType),
        (error) => say(500, `${error}\n`),
      );
    else say(404, 'not found\n');
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, () => resolve(server));
  });
}
