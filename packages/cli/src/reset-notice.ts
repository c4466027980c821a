/** What `local reset` would delete, in words, before anyone says yes. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { bytes } from './output.ts';

/** The lines to show before asking; undefined when there is no such folder. */
export function describeReset(state: string): string[] | undefined {
  if (!existsSync(state)) return undefined;
  const volumes = listed(join(state, 'volumes'));
  const lines = [`This stops local mode and deletes ${state} (${bytes(sizeOf(state))}):`];
  for (const volume of volumes) {
    lines.push(`  volume ${volume} (${bytes(sizeOf(join(state, 'volumes', volume)))})`);
  }
  lines.push('  the Kubernetes objects, certificates, logs and the kubeconfig of local mode');
  return lines;
}

function listed(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}

/** Bytes of all files below a folder. What cannot be read counts as nothing: this is a notice, not an inventory. */
function sizeOf(folder: string): number {
  let total = 0;
  const open = [folder];
  while (open.length > 0) {
    const dir = open.pop() as string;
    for (const entry of read(dir)) {
      const path = join(dir, entry.name);
      if (entry.isDirectory()) open.push(path);
      else if (entry.isFile()) total += statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    }
  }
  return total;
}

function read(dir: string): import('node:fs').Dirent[] {
  try {
    return readdirSync(dir, { withFileTypes: true });
  } catch {
    return [];
  }
}
