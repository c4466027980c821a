import type { Socket } from 'node:net';
import { pipeline } from 'node:stream';

/** Joins two connections until both ends have said all; an error at one ends the other. */
export function join(one: Socket, two: Socket): void {
  one.setNoDelay?.(true);
  two.setNoDelay?.(true);
  const end = (error: unknown): void => {
    if (!error) return;
    one.destroy();
    two.destroy();
  };
  pipeline(one, two, end);
  pipeline(two, one, end);
}
