/** One member: a network namespace with Patroni in it, which runs PostgreSQL. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commandLine } from '@pgherd/cli/pod-processes';
import { linkAddresses } from '@pgherd/local/net/addresses';
import { enter, type Holder } from '@pgherd/local/net/namespaces';
import { markedEnv, signalPid, withDescendants } from '@pgherd/local/net/processes';
import { type MemberConfig, memberConfig, type TIMES } from './config.ts';
import { signalMember } from './processes.ts';

/** PostgreSQL refuses to run as root: within the member it is nobody. */
const USER = '65534';

export class Member {
  readonly name: string;
  readonly index: number;
  readonly address: string;
  readonly holder: Holder;
  private readonly folder: string;
  private readonly config: MemberConfig;
  private agent: ChildProcess | undefined;

  constructor(folder: string, index: number, holder: Holder, about: { etcd: string; bin: string }) {
    this.name = `m${index}`;
    this.index = index;
    this.holder = holder;
    this.address = linkAddresses(index).node;
    this.folder = join(folder, this.name);
    this.config = {
      name: this.name,
      address: this.address,
      ...about,
      data: join(this.folder, 'data'),
      sockets: this.folder,
    };
  }

  prepare(times: (typeof TIMES)[keyof typeof TIMES]): void {
    mkdirSync(this.folder, { recursive: true, mode: 0o755 });
    writeFileSync(join(this.folder, 'patroni.yml'), memberConfig(this.config, times));
  }

  /** Starts the agent, unless it runs. */
  start(): void {
    if (this.agent?.exitCode === null && this.agent.signalCode === null) return;
    const sandbox = ['bwrap', '--unshare-user', '--uid', USER, '--gid', USER, '--dev-bind', '/', '/', '--'];
    const [program, args] = enter(this.holder, [...sandbox, 'patroni', join(this.folder, 'patroni.yml')]);
    const log = openSync(join(this.folder, 'patroni.log'), 'a');
    this.agent = spawn(program, args, {
      cwd: '/',
      stdio: ['ignore', log, log],
      env: markedEnv(this.folder, this.name),
    });
  }

  /** Kills the postmaster alone. */
  killPostmaster(): void {
    const pid = Number(readFileSync(join(this.config.data, 'postmaster.pid'), 'utf8').split('\n')[0]);
    if (!signalPid(pid, 'SIGKILL')) throw new Error(`there is no postmaster ${pid} of ${this.name}`);
  }

  signal(name: NodeJS.Signals): void {
    signalMember(this.agent?.pid, this.config.data, name);
  }

  /** Asks the agent to end, as `systemctl stop` does; resolves when it has. */
  async terminate(): Promise<void> {
    const { agent } = this;
    if (!agent?.pid) return;
    const ended = new Promise<void>((resolve) => agent.once('exit', () => resolve()));
    const patroni = withDescendants([agent.pid]).find((pid) =>
      /^\S*python3? \S*patroni /.test(commandLine(pid)),
    );
    if (!patroni) throw new Error(`no agent was found in ${this.name}`);
    signalPid(patroni, 'SIGTERM');
    await ended;
  }

  log(): string {
    return readFileSync(join(this.folder, 'patroni.log'), 'utf8');
  }
}
