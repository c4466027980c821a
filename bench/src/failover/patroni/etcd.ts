/** One etcd in a namespace of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { linkAddresses } from '@pgherd/local/net/addresses';
import { enter, type Holder } from '@pgherd/local/net/namespaces';
import { markedEnv, signalTree } from '@pgherd/local/net/processes';
import { ETCD_PORT } from './config.ts';

export class Etcd {
  readonly address: string;
  private readonly folder: string;
  private readonly holder: Holder;
  private child: ChildProcess | undefined;

  constructor(folder: string, index: number, holder: Holder) {
    this.folder = folder;
    this.holder = holder;
    this.address = linkAddresses(index).node;
  }

  start(): void {
    const clients = `http://${this.address}:${ETCD_PORT}`;
    const peers = `http://${this.address}:2380`;
    const [program, args] = enter(this.holder, [
      'etcd',
      '--enable-v2',
      ...['--data-dir', join(this.folder, 'etcd')],
      ...['--listen-client-urls', clients, '--advertise-client-urls', clients],
      ...['--listen-peer-urls', peers, '--initial-advertise-peer-urls', peers],
      ...['--initial-cluster', `default=${peers}`],
    ]);
    const log = openSync(join(this.folder, 'etcd.log'), 'a');
    this.child = spawn(program, args, {
      cwd: '/',
      stdio: ['ignore', log, log],
      env: markedEnv(this.folder, 'etcd'),
    });
  }

  kill(): void {
    if (this.child?.pid) signalTree([this.child.pid], 'SIGKILL');
  }
}
