import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onlyOne } from './one-at-a-time.ts';

test('a second demo in the same folder is told so; one in another folder is not', async () => {
  const first = await onlyOne('/somewhere/a');
  await assert.rejects(onlyOne('/somewhere/a'), { code: 'refused', message: /Another npm start/ });
  (await onlyOne('/somewhere/b')).close();
  await new Promise((resolve) => first.close(resolve));
  (await onlyOne('/somewhere/a')).close();
});
