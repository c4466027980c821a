/** For the checks: one image, unpacked before the first and deleted after the last. */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import type { ImageName } from '../settings.ts';
import { type OpenedImage, openImage } from './archive.ts';
import { archiveVariable } from './main.ts';

export interface Opened {
  file: string;
  image: OpenedImage;
  /** Makes an empty folder that `uid` may write to. */
  volume(uid: number): string;
}

/** Call it at the top of a file of checks; its members are there once a check runs. */
export function opened(name: ImageName): Opened {
  const file = process.env[archiveVariable(name)];
  if (!file) throw new Error(`${archiveVariable(name)} is not set; run: npm run images -- --check`);
  const scratch = mkdtempSync(join(tmpdir(), `pgherd-image-`));
  chmodSync(scratch, 0o755);
  const result = {
    file,
    volume(uid: number) {
      const folder = mkdtempSync(join(scratch, 'volume-'));
      if (userInfo().uid === 0) chownSync(folder, uid, uid);
      return folder;
    },
  } as Opened;
  before(async () => {
    const folder = join(scratch, 'image');
    mkdirSync(folder);
    result.image = await openImage(file, folder);
  });
  after(() => rmSync(scratch, { recursive: true, force: true }));
  return result;
}
