/** The rules of the house that a compiler does not know: which package may lean on which, and what stays out. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '..');

/** What each package may import of ours; the order is the order of the house, from the ground up. */
const MAY_IMPORT: Record<string, string[]> = {
  api: [],
  kube: [],
  postgres: [],
  ha: [],
  instance: ['api', 'kube', 'postgres', 'ha'],
  operator: ['api', 'kube'],
  local: ['kube'],
  cli: ['api', 'kube', 'local', 'operator'],
};

for (const [name, allowed] of Object.entries(MAY_IMPORT)) {
  test(`packages/${name} leans only on ${allowed.join(', ') || 'nothing of ours'}`, () => {
    const wrong: string[] = [];
    for (const file of globSync(`packages/${name}/src/**/*.ts`, { cwd: ROOT })) {
      const text = readFileSync(join(ROOT, file), 'utf8');
      for (const match of text.matchAll(/(?:from|import)\s*\(?\s*'@pgherd\/([a-z0-9]+)/g)) {
        if (match[1] !== name && !allowed.includes(match[1]!))
          wrong.push(`${file} imports @pgherd/${match[1]}`);
      }
      for (const match of text.matchAll(/from '((?:\.\.\/)+)([^']*)'/g)) {
        const depth = file.split('/').length - 3;
        const climbs = match[1]!.length / 3;
        if (climbs >= depth) wrong.push(`${file} climbs out of its package: ${match[1]}${match[2]}`);
      }
    }
    assert.deepEqual(wrong, []);
  });
  test(`packages/${name} declares what it leans on`, () => {
    const manifest = JSON.parse(readFileSync(join(ROOT, 'packages', name, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    const ours = Object.keys(manifest.dependencies ?? {})
      .filter((dependency) => dependency.startsWith('@pgherd/'))
      .map((dependency) => dependency.slice('@pgherd/'.length));
    assert.deepEqual(
      ours.filter((dependency) => !allowed.includes(dependency)),
      [],
    );
  });
}

test('no file names a path of one machine', () => {
  const files = execFileSync('git', ['ls-files'], { cwd: ROOT, encoding: 'utf8' }).trim().split('\n');
  const wrong = files.filter(
    (file) =>
      !file.endsWith('package-lock.json') &&
      file !== 'scripts/house.test.ts' &&
      // In an image, root's home is the image's.
      !file.startsWith('deploy/images/') &&
      /(^|[\s'"`(=])\/(work|farm|root)\//m.test(readFileSync(join(ROOT, file), 'utf8')),
  );
  assert.deepEqual(wrong, []);
});
