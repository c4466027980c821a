/** Root file systems of Debian packages, made by mmdebstrap from this machine's own package sources. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './command.ts';
import { ImageError } from './errors.ts';
import { DEBIAN, EPOCH, RECIPES } from './settings.ts';

export interface DebianRoot {
  /** `extract` unpacks the packages and runs none of their scripts; `essential` is a small working Debian. */
  variant: 'extract' | 'essential';
  packages: string[];
  /** Further options of mmdebstrap. */
  options?: string[];
  /** The archive to write. */
  target: string;
}

/** The lines of one of the lists beside the Dockerfiles, without comments and blanks. */
export function readList(path: string): string[] {
  return parseList(readFileSync(join(RECIPES, path), 'utf8'));
}

/** Lines without comments and blanks. */
export function parseList(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

/**
 * Writes the archive of a root file system. Takes seconds to a minute. Throws ImageError when the packages are not
 * to be had or one of their scripts fails.
 */
export function makeDebianRoot(root: DebianRoot, mirrors: string[]): void {
  run(
    'mmdebstrap',
    [
      '--quiet',
      `--variant=${root.variant}`,
      '--format=tar',
      `--include=${root.packages.join(',')}`,
      '--aptopt=APT::Install-Recommends "false"',
      ...aptSettings(run('apt-config', ['dump'])).map((line) => `--aptopt=${line}`),
      ...(root.options ?? []),
      DEBIAN.suite,
      root.target,
      ...mirrors,
    ],
    { env: { ...process.env, SOURCE_DATE_EPOCH: String(EPOCH), LC_ALL: 'C' } },
  );
}

/** The Debian sources that apt uses on this machine. Throws ImageError where it has none of the right release. */
export function debianMirrors(): string[] {
  const format = '$(REPO_URI) $(RELEASE) $(COMPONENT)';
  // Without release info it needs no downloaded lists, which many machines have thrown away.
  const targets = ['indextargets', '--no-release-info', '--format', format, 'Identifier: Packages'];
  const mirrors = parseTargets(run('apt-get', targets), DEBIAN.suite);
  if (mirrors.length > 0) return mirrors;
  throw new ImageError('sources', `apt on this machine has no source of Debian ${DEBIAN.version}`, {
    hint: `Name one: --mirror 'deb http://deb.debian.org/debian ${DEBIAN.suite} main'`,
  });
}

/** Lines of apt-get indextargets as lines of a sources.list: those of one Debian release and of its updates. */
export function parseTargets(text: string, suite: string): string[] {
  const releases = [suite, `${suite}-updates`, `${suite}-security`];
  const lines = text.split('\n').flatMap((line) => {
    const [uri, release, component] = line.trim().split(' ');
    return release && releases.includes(release) && component === 'main'
      ? [`deb ${uri} ${release} ${component}`]
      : [];
  });
  return [...new Set(lines)];
}

const PASSED_ON = /^Acquire::(?:Check-Valid-Until|Check-Date|Retries|https?::Proxy\S*|https?::Timeout) "/;

/** Those settings of apt without which this machine would not reach its sources, or would not believe them. */
export function aptSettings(dump: string): string[] {
  return dump
    .split('\n')
    .filter((line) => PASSED_ON.test(line))
    .map((line) => line.replace(/;$/, ''));
}
