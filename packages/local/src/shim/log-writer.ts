import { closeSync, createWriteStream, openSync, renameSync, type WriteStream } from 'node:fs';
import type { Readable } from 'node:stream';

const MAX_LINE = 16 * 1024;
const MAX_FILE = 10 * 1024 * 1024;

/**
 * Writes what a container says as the kubelet's log files have it: `TIME stdout F line`, `P` for a part of a line.
 * At 10 MB the file becomes NAME.1 and a new one begins.
 */
export class LogWriter {
  private readonly path: string;
  private file: WriteStream;
  private size = 0;

  constructor(path: string) {
    this.path = path;
    this.file = openLog(path);
  }

  /** Takes over one stream of the container. */
  attach(stream: Readable, name: 'stdout' | 'stderr'): void {
    let rest: Buffer = Buffer.alloc(0);
    stream.on('data', (chunk: Buffer) => {
      rest = this.write(name, rest.length === 0 ? chunk : Buffer.concat([rest, chunk]));
    });
    stream.once('end', () => {
      if (rest.length > 0) this.line(`${stamp()} ${name} P `, rest);
    });
    stream.on('error', () => {});
  }

  end(): void {
    this.file.end();
  }

  private write(name: string, data: Buffer): Buffer {
    const prefix = `${stamp()} ${name} `;
    let from = 0;
    for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10, from)) {
      this.line(`${prefix}F `, data.subarray(from, end));
      from = end + 1;
    }
    while (data.length - from > MAX_LINE) {
      this.line(`${prefix}P `, data.subarray(from, from + MAX_LINE));
      from += MAX_LINE;
    }
    return data.subarray(from);
  }

  private line(prefix: string, data: Buffer): void {
    const line = Buffer.concat([Buffer.from(prefix), data, Buffer.from('\n')]);
    if (this.size + line.length > MAX_FILE) this.rotate();
    this.size += line.length;
    this.file.write(line);
  }

  private rotate(): void {
    this.file.end();
    try {
      renameSync(this.path, `${this.path}.1`);
    } catch {
      // Somebody removed it; a new one begins all the same.
    }
    this.file = openLog(this.path);
    this.size = 0;
  }
}

/** The file is there at once, so that a container that runs has a log; without a place for it, it runs all the same. */
function openLog(path: string): WriteStream {
  try {
    closeSync(openSync(path, 'a', 0o600));
  } catch {
    // The stream says the same.
  }
  const file = createWriteStream(path, { flags: 'a', mode: 0o600 });
  file.on('error', () => {});
  return file;
}

/** Nanoseconds in form, since that is how readers of such files cut them; milliseconds in truth. */
function stamp(): string {
  return new Date().toISOString().replace('Z', '000000Z');
}
