import type { Socket } from 'node:net';
import type { RunningContainer } from './container.ts';
import { finish, receive } from './exec.ts';
import { type AttachRequest, CHANNEL, frame } from './protocol.ts';
import { resizeTerminal } from './terminal.ts';

/** Who falls behind by more than this is let go: the container must not wait for a reader. */
const MAX_BEHIND = 16 << 20;

/** Joins a connection to the streams of a running container, until it ends or the connection does. */
export async function attach(
  socket: Socket,
  { container: name }: AttachRequest,
  container: RunningContainer | undefined,
  first: Buffer,
): Promise<void> {
  if (!container?.running) return finish(socket, { error: `container ${name} is not running` });
  for (const { channel, data } of container.beginning) socket.write(frame(channel, data));
  const stop = [CHANNEL.stdout, CHANNEL.stderr].map((channel) => {
    const stream = container.streams[channel];
    const hand = (data: Buffer): void => {
      if (socket.writableLength > MAX_BEHIND) socket.destroy();
      else socket.write(frame(channel, data));
    };
    stream.on('data', hand);
    return () => stream.off('data', hand);
  });
  socket.once('close', () => {
    for (const end of stop) end();
    if (container.request.stdinOnce) container.stdin?.end();
  });
  receive(socket, container.stdin, first, (data) => void resize(container, data));
  await container.ended;
  finish(socket, { exitCode: container.record.exitCode });
}

async function resize(container: RunningContainer, data: Buffer): Promise<void> {
  const pid = await container.entered();
  const { tty, enter } = container.request;
  if (tty && pid !== undefined)
    await resizeTerminal(container.child, [...enter.before, String(pid), ...enter.after, '--'], data);
}
