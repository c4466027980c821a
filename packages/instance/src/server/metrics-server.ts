import { createServer } from 'node:http';
import { listen } from './manager-server.ts';
import type { Scrape } from './metrics.ts';

/** Port 9187: plain HTTP, as scrapers expect; nothing secret is there. Resolves when it listens. */
export async function serveMetrics(o: {
  port: number;
  host?: string;
  scrape(): Promise<Scrape>;
}): Promise<{ close(): void; port: number }> {
  const server = createServer((request, response) => {
    if (request.url?.split('?')[0] !== '/metrics') {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('there is /metrics\n');
      return;
    }
    o.scrape().then(
      ({ contentType, body }) => response.writeHead(200, { 'content-type': contentType }).end(body),
      (error) => response.writeHead(500, { 'content-type': 'text/plain' }).end(`${String(error)}\n`),
    );
  });
  await listen(server, { port: o.port, ...(o.host ? { host: o.host } : {}) });
  return {
    close: () => {
      server.close();
      server.closeAllConnections();
    },
    port: (server.address() as { port: number }).port,
  };
}
