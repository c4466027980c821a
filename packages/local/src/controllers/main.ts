import { setMaxListeners } from 'node:events';
import { parseArgs } from 'node:util';
import { Client, createEventRecorder } from '@pgherd/kube';
import { loadKubeconfig } from '@pgherd/kube/kubeconfig';
import { pino } from 'pino';
import { stateLayout } from '../state.ts';
import { startControllers } from './start.ts';

/** The process of the built-in controllers: `main.ts --state DIR`. Ends on SIGTERM. */
const { values } = parseArgs({ options: { state: { type: 'string' } } });
const state = stateLayout(values.state).dir;
const log = pino({ name: 'controllers', level: process.env.PGHERD_LOG_LEVEL ?? 'info' });
const config = await loadKubeconfig({ path: stateLayout(state).controllersKubeconfig });
const client = new Client({ ...config, userAgent: 'pgherd-controllers' });
const stop = new AbortController();
setMaxListeners(0, stop.signal);
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());

const events = createEventRecorder(client, 'controllers', { log });
const ready = startControllers({ client, events, log, state, signal: stop.signal });
ready.then(
  () => log.info('controllers are running'),
  () => {},
);
stop.signal.addEventListener('abort', async () => {
  await Promise.race([events.flush(), new Promise((resolve) => setTimeout(resolve, 500))]);
  client.close();
  process.exit(0);
});
