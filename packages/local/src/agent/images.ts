import { existsSync } from 'node:fs';
import { LocalError } from '../errors.ts';
import { type ImageConfig, readConfig, type StateLayout } from '../state.ts';

/** What an image name means here. @throws LocalError ImageUnknown, naming what to do */
export function resolveImage(layout: StateLayout, image: string): ImageConfig {
  // Read each time: images are added while nodes run.
  const images = readConfig(layout)?.images ?? {};
  const found = images[image] ?? images[withoutTag(image)];
  if (!found) {
    const known = Object.keys(images).sort().join(', ') || 'none';
    throw new LocalError(
      'ImageUnknown',
      `image "${image}" has no binaries on this machine; known here: ${known}; ` +
        `register it in "images" of ${layout.config}`,
    );
  }
  for (const folder of [...(found.bin ?? []), ...Object.values(found.mounts ?? {})]) {
    if (!existsSync(folder))
      throw new LocalError('ImageUnknown', `image "${image}" needs ${folder}, which is not there`);
  }
  return found;
}

function withoutTag(image: string): string {
  return image.replace(/(@sha256:[0-9a-f]+)?$/, '').replace(/:[^:/]+$/, '');
}
