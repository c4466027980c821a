// A reporter for node --test that prints each failed test where it fails, with its file and error.
export default async function* failuresReporter(source) {
  for await (const event of source) {
    if (event.type !== 'test:fail' || event.data.details?.type === 'suite') continue;
    const error = event.data.details?.error;
    const cause = error?.cause ?? error;
    yield `\nnot ok: ${event.data.name} (${event.data.file ?? ''}:${event.data.line ?? ''})\n${cause?.stack ?? String(cause)}\n`;
  }
}
