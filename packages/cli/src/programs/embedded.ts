/**
 * What the bundled command carries along: our programs and the demonstration's manifest, by name, compressed with
 * brotli and written in base64. `npm run build` fills this in; in a checkout they are made from the sources instead.
 */
export const embedded: Record<string, string> | undefined = undefined;
