import { constants, createInflate, deflateRawSync, deflateSync } from 'node:zlib';

/** The words that SPDY/3 compresses headers with: part of the protocol, byte for byte. */
const WORDS =
  'options,head,post,put,delete,trace,accept,accept-charset,accept-encoding,accept-language,accept-ranges,age,' +
  'allow,authorization,cache-control,connection,content-base,content-encoding,content-language,content-length,' +
  'content-location,content-md5,content-range,content-type,date,etag,expect,expires,from,host,if-match,' +
  'if-modified-since,if-none-match,if-range,if-unmodified-since,last-modified,location,max-forwards,pragma,' +
  'proxy-authenticate,proxy-authorization,range,referer,retry-after,server,te,trailer,transfer-encoding,upgrade,' +
  'user-agent,vary,via,warning,www-authenticate,method,get,status,200 OK,version,HTTP/1.1,url,public,set-cookie,' +
  'keep-alive,origin';
const TAIL =
  '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505' +
  '203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized' +
  '403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable' +
  'Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT' +
  'chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,' +
  'text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.';

export const DICTIONARY = Buffer.concat([
  ...WORDS.split(',').map((word) => withLength(Buffer.from(word))),
  Buffer.from(TAIL),
]);

function withLength(text: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, text]);
}

/** Reads the header blocks of one direction; they share one compressed stream. */
export class HeaderReader {
  private readonly inflate = createInflate({ dictionary: DICTIONARY });
  private parts: Buffer[] = [];

  constructor() {
    this.inflate.on('data', (part: Buffer) => this.parts.push(part));
  }

  /** The headers of a block, names in lower case. Rejects when it cannot be inflated. */
  async read(block: Buffer): Promise<Record<string, string>> {
    await new Promise<void>((resolve, reject) => {
      this.inflate.once('error', reject);
      this.inflate.write(block, () => {
        this.inflate.off('error', reject);
        // What was inflated may be handed out after this callback.
        setImmediate(resolve);
      });
    });
    const data = Buffer.concat(this.parts);
    this.parts = [];
    return parse(data);
  }

  close(): void {
    this.inflate.destroy();
  }
}

function parse(data: Buffer): Record<string, string> {
  let at = 0;
  const text = (): string => {
    const end = at + 4 + data.readUInt32BE(at);
    const value = data.toString('utf8', at + 4, end);
    at = end;
    return value;
  };
  const headers: Record<string, string> = {};
  const count = data.readUInt32BE(0);
  at = 4;
  for (let n = 0; n < count; n++) headers[text().toLowerCase()] = text();
  return headers;
}

const NONE = Buffer.alloc(4);
const FLUSHED = { finishFlush: constants.Z_SYNC_FLUSH };

/** A block without headers: the only one that a server of streams has to send. */
export function emptyBlock(first: boolean): Buffer {
  // A later block goes on in the stream that the first one began; it refers to nothing before it.
  return first ? deflateSync(NONE, { dictionary: DICTIONARY, ...FLUSHED }) : deflateRawSync(NONE, FLUSHED);
}

/** A block of a client. For tests. */
export function clientBlock(headers: Record<string, string>, first: boolean): Buffer {
  const count = Buffer.alloc(4);
  const entries = Object.entries(headers);
  count.writeUInt32BE(entries.length);
  const data = Buffer.concat([count, ...entries.flat().map((text) => withLength(Buffer.from(text)))]);
  return first ? deflateSync(data, { dictionary: DICTIONARY, ...FLUSHED }) : deflateRawSync(data, FLUSHED);
}
