/**
 * Builds the images, each as one archive for `ctr images import`, `docker load`, podman and skopeo.
 *
 *   npm run images                        both, into dist/images
 *   npm run images -- --only postgresql   one
 *   npm run images -- --twice             each twice, and compares the digests
 *   npm run images -- --check             then unpacks them and tries what is in them
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Built, buildImage } from './build.ts';
import { say } from './command.ts';
import { entriesOf, megabytes, partsOf } from './contents.ts';
import { debianMirrors } from './debian.ts';
import { ImageError } from './errors.ts';
import { isoTime } from './oci.ts';
import { EPOCH, IMAGE_NAMES, type ImageName, ROOT } from './settings.ts';

const OPTIONS = {
  out: { type: 'string', default: join(ROOT, 'dist', 'images') },
  registry: { type: 'string', default: 'ghcr.io/pgherd' },
  only: { type: 'string', multiple: true },
  mirror: { type: 'string', multiple: true },
  twice: { type: 'boolean', default: false },
  check: { type: 'boolean', default: false },
  'no-build': { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

const HELP = `Builds the container images, each as one archive.

  --out DIR         where the archives go (default: dist/images)
  --registry NAME   what stands before the images' names (default: ghcr.io/pgherd)
  --only NAME       ${IMAGE_NAMES.join(' or ')}; may be given twice (default: both)
  --mirror LINE     a line of a sources.list instead of this machine's own; may be given several times
  --twice           build each a second time and fail unless every byte is the same
  --check           unpack the archives and try what is in them
  --no-build        with --check: try the archives that are there

SOURCE_DATE_EPOCH sets the time that stands in the images.`;

/** Below this a file or folder is not listed by itself. */
const LISTED = 2_000_000;

try {
  await main();
} catch (error) {
  if (!(error instanceof Error) || !('hint' in error)) throw error;
  process.stderr.write(`\npgherd: ${error.message}\n`);
  if (error.hint) process.stderr.write(`  What to do: ${error.hint}\n`);
  process.exitCode = 1;
}

async function main(): Promise<void> {
  const options = readOptions();
  if (options.help) return void console.log(HELP);
  const names = IMAGE_NAMES.filter((name) => !options.only || options.only.includes(name));
  const out = resolve(options.out);
  mkdirSync(out, { recursive: true });
  if (!options['no-build']) {
    const mirrors = options.mirror ?? debianMirrors();
    for (const name of names)
      await buildAndTell(name, { registry: options.registry, out, mirrors }, options.twice);
  }
  if (options.check) {
    const { checkImages } = await import('./check/main.ts');
    if (!(await checkImages(out, names))) process.exitCode = 1;
  }
}

function readOptions() {
  try {
    const { values } = parseArgs({ options: OPTIONS });
    const unknown = values.only?.filter((name) => !IMAGE_NAMES.includes(name as ImageName)) ?? [];
    if (unknown.length > 0) throw new Error(`There is no image ${unknown.join(', ')}.`);
    return values;
  } catch (cause) {
    throw new ImageError('usage', (cause as Error).message, { hint: 'npm run images -- --help', cause });
  }
}

async function buildAndTell(
  name: ImageName,
  options: { registry: string; out: string; mirrors: string[] },
  twice: boolean,
): Promise<void> {
  const started = performance.now();
  say(`Building ${name}`);
  const built = await buildImage(name, options);
  try {
    tell(built, performance.now() - started);
  } finally {
    rmSync(built.scratch, { recursive: true, force: true });
  }
  if (!twice) return;
  say(`Building ${name} once more`);
  const again = await buildImage(name, { ...options, out: join(options.out, 'again') });
  rmSync(join(options.out, 'again'), { recursive: true, force: true });
  if (again.digest !== built.digest)
    throw new ImageError('archive', `${name} came out differently: ${built.digest}, then ${again.digest}`, {
      hint: 'Did a package change in between? Else something in it depends on the time or on chance.',
    });
  console.log(`  twice the same digest`);
}

function tell(image: Built, ms: number): void {
  console.log(`  ${image.reference}`);
  console.log(`  ${image.file}`);
  console.log(
    `  ${megabytes(image.compressed)} to download, ${megabytes(image.unpacked)} unpacked, ${(ms / 1000).toFixed(0)} s`,
  );
  console.log(`  ${image.digest}  (all times in it are ${isoTime(EPOCH)} or older)`);
  for (const part of partsOf(
    image.layers.flatMap((layer) => entriesOf(layer.tar)),
    LISTED,
  ))
    console.log(`    ${megabytes(part.size).padStart(9)}  ${part.path}`);
  writeFileSync(
    `${image.file}.json`,
    `${JSON.stringify({ reference: image.reference, digest: image.digest, compressed: image.compressed, unpacked: image.unpacked }, null, 2)}\n`,
  );
}
