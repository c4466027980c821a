/** Connections through a proxy, as `proxy-url` of a kubeconfig asks for. Loaded only where there is one. */
import type { Agent } from 'node:http';
import type { AgentOptions } from 'node:https';
import { checkServerIdentity } from 'node:tls';
import { HttpProxyAgent, HttpsProxyAgent } from 'hpagent';
import { SocksProxyAgent } from 'socks-proxy-agent';
import type { ProxyServer } from './config.ts';
import { KubeError } from './errors.ts';

const SCHEMES = ['http:', 'https:', 'socks5:', 'socks5h:'];

/** The proxy at `text` for an API server at `server` (a URL). Throws KubeError `Config`, which names `field`. */
export function proxyAt(text: string, server: string, field: string): ProxyServer {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url?.hostname || !SCHEMES.includes(url.protocol)) {
    throw new KubeError('Config', `${field}: ${text} is no URL of a proxy`, {
      hint: 'write http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT',
    });
  }
  const shown = `${url.protocol}//${url.host}`;
  // kubectl lets the proxy look names up, which is what `socks5h` means here.
  const proxy = url.href.replace(/^socks5:/, 'socks5h:');
  return { shown, agent: (options) => agentFor(proxy, new URL(server), options) };
}

function agentFor(proxy: string, server: URL, options: AgentOptions): Agent {
  if (!proxy.startsWith('socks'))
    return server.protocol === 'https:'
      ? new HttpsProxyAgent({ ...options, proxy })
      : new HttpProxyAgent({ ...options, proxy });
  // This library forgets the host once it is connected, and then checks the certificate of an address for "localhost".
  const host = options.servername ?? server.hostname.replace(/^\[|\]$/g, '');
  return new SocksProxyAgent(proxy, {
    ...options,
    checkServerIdentity: (_host, certificate) => checkServerIdentity(host, certificate),
  } as AgentOptions);
}
