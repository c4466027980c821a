/** Which handler carries out which type of Operation. */
import type { OperationType } from '@pgherd/api';
import { clone } from './clone/handler.ts';
import { destroy } from './destroy/handler.ts';
import type { Handler } from './handler.ts';
import { reload } from './reload/handler.ts';
import { restart } from './restart/handler.ts';
import { restore } from './restore/handler.ts';
import { switchover } from './switchover/handler.ts';
import { verify } from './verify/handler.ts';

export const handlers: Partial<Record<OperationType, Handler>> = {
  Switchover: switchover,
  Restart: restart,
  Reload: reload,
  Destroy: destroy,
  Restore: restore,
  Clone: clone,
  VerifyBackup: verify,
};
