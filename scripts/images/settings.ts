/** What the images are called and what they say about themselves. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '..', '..');
/** Scripts and lists that the Dockerfiles use as well. */
export const RECIPES = join(ROOT, 'deploy', 'images');

export const DEBIAN = { suite: 'bookworm', version: '12' };
export const POSTGRES_MAJOR = '15';

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
export const VERSION = manifest.version;

/**
 * The time that stands in the images, in seconds; no file in them is younger. One number for a release, so that
 * the same sources and packages give the same bytes whenever they are built.
 */
export const EPOCH = Number(process.env.SOURCE_DATE_EPOCH ?? Date.parse('2026-11-01T00:00:00Z') / 1000);

/** What OCI calls this machine's processor. */
export const ARCHITECTURE = process.arch === 'x64' ? 'amd64' : process.arch;

export type ImageName = 'pgherd' | 'postgresql';
export const IMAGE_NAMES: readonly ImageName[] = ['pgherd', 'postgresql'];

/** The tag of an image: what a Cluster and the operator's Deployment ask for. */
export function tagOf(name: ImageName): string {
  return name === 'pgherd' ? VERSION : POSTGRES_MAJOR;
}
