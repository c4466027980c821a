/** Which handler carries out which type of Operation. */
import type { OperationType } from '@pgherd/api';
import type { Handler } from './handler.ts';
import { switchover } from './switchover/handler.ts';

export const handlers: Partial<Record<OperationType, Handler>> = {
  Switchover: switchover,
};
