/** The root file system of the image `pgherd`: a static busybox, Node with its libraries, and our programs. */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { bundlePayload, writePayload } from '../../packages/cli/src/payload.ts';
import { run } from './command.ts';
import { licenceText } from './licences.ts';
import { NODE_LIBRARIES, PAYLOAD, writeSelfContainedNode } from './self-contained-node.ts';
import { ROOT } from './settings.ts';

/** The user the operator and the CLI run as when the pod says nothing else. */
export const OPERATOR_USER = 65532;

export const PGHERD_PACKAGES = ['busybox-static', 'gcc-12-base', ...NODE_LIBRARIES];

const ETC = {
  passwd: `root:x:0:0:root:/:/sbin/nologin
postgres:x:26:26:PostgreSQL administrator:/tmp:/bin/sh
nobody:x:65534:65534:nobody:/:/sbin/nologin
pgherd:x:${OPERATOR_USER}:${OPERATOR_USER}:pgherd:/tmp:/bin/sh
`,
  group: `root:x:0:\npostgres:x:26:\nnogroup:x:65534:\npgherd:x:${OPERATOR_USER}:\n`,
  'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
};

const CLI = `#!/bin/sh\nexec ${PAYLOAD}/bin/node ${PAYLOAD}/pgherd.mjs "$@"\n`;

/**
 * Fills two folders: what changes with Node or Debian, and what changes with our sources. Nodes that have the
 * former download only the latter. `debian` is an unpacked Debian with PGHERD_PACKAGES.
 */
export async function fillPgherd(base: string, programs: string, debian: string): Promise<void> {
  for (const folder of [
    'bin',
    'etc',
    'proc',
    'dev',
    'sys',
    'run',
    'shared',
    'usr/bin',
    'usr/local/bin',
    'usr/share/doc',
  ])
    mkdirSync(join(base, folder), { recursive: true });
  mkdirSync(join(base, 'tmp'));
  chmodSync(join(base, 'tmp'), 0o1777);
  placeBusybox(base, debian);
  for (const [name, content] of Object.entries(ETC)) writeFileSync(join(base, 'etc', name), content);
  writeSelfContainedNode(join(base, PAYLOAD), process.execPath, debian);
  copyLicences(base, debian);
  openToAll(base);

  const folder = join(programs, PAYLOAD);
  await writePayload(folder, await bundlePayload(), { node: { linkTo: 'unused' } });
  rmSync(join(folder, 'bin'), { recursive: true });
  mkdirSync(join(programs, 'usr/local/bin'), { recursive: true });
  writeFileSync(join(programs, 'usr/local/bin/pgherd'), CLI, { mode: 0o755 });
  mkdirSync(join(programs, 'usr/share/doc/pgherd'), { recursive: true });
  writeFileSync(join(programs, 'usr/share/doc/pgherd/third-party-licences'), licenceText(ROOT));
  openToAll(programs);
}

function placeBusybox(base: string, debian: string): void {
  const busybox = join(base, 'bin', 'busybox');
  const source = ['bin', 'usr/bin'].map((folder) => join(debian, folder, 'busybox')).find(existsSync)!;
  copyFileSync(source, busybox);
  chmodSync(busybox, 0o755);
  for (const applet of run(busybox, ['--list']).split('\n').filter(Boolean))
    if (applet !== 'busybox') symlinkSync('busybox', join(base, 'bin', applet));
  symlinkSync('/bin/env', join(base, 'usr', 'bin', 'env'));
}

function copyLicences(base: string, debian: string): void {
  for (const name of PGHERD_PACKAGES) {
    const source = join(debian, 'usr/share/doc', name, 'copyright');
    if (!existsSync(source)) continue;
    mkdirSync(join(base, 'usr/share/doc', name), { recursive: true });
    cpSync(source, join(base, 'usr/share/doc', name, 'copyright'), { dereference: true });
  }
  const node = join(process.execPath, '..', '..', 'LICENSE');
  if (!existsSync(node)) return;
  mkdirSync(join(base, 'usr/share/doc/nodejs'), { recursive: true });
  copyFileSync(node, join(base, 'usr/share/doc/nodejs/copyright'));
}

/** Readable by any user and writable by none but root, whatever the umask of this process. */
function openToAll(folder: string): void {
  run('chmod', ['-R', 'u=rwX,go=rX', folder]);
  const tmp = join(folder, 'tmp');
  if (existsSync(tmp)) chmodSync(tmp, 0o1777);
}
