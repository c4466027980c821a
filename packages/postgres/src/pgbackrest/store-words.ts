/** What an object store answered, out of the long report that pgBackRest makes of it. Pure. */

const FAILED = /HTTP request failed with (\d{3})(?: \(([^)]*)\))?/;
/** The request, in the line after its title. */
const REQUEST = /^\s*((?:GET|HEAD|PUT|POST|DELETE) \S+)/;
/** S3 and Azure answer in XML, Google in JSON. */
const CODE = [/<Code>([^<]+)<\/Code>/, /"reason": *"([^"]+)"/];
const MESSAGE = [/<Message>([^<]+)<\/Message>/, /"message": *"([^"]+)"/];

/** What a wrong passphrase makes of a file, and what damage may make of it too; pgBackRest then prints its bytes. */
const UNREADABLE =
  /unable to load info file '([^']+)'.*(?:key\/value found outside of section|CryptoError|cipher header invalid|unable to flush)/s;

/** A repository that has lost what says whose it is. pgBackRest's own hints lead elsewhere then. */
const LOST =
  /unable to load info file '([^']+\.info)'.*unable to open missing file|(archive|backup)\.info (?:is missing|does not exist)|backup directory and\/or archive directory not empty/s;

/** By what pgBackRest says: what the user can do about it. */
const REMEDIES: [RegExp, string][] = [
  [
    LOST,
    'put archive.info and backup.info, or their .copy, back from a copy of the repository; without one, add a repository under another name and take this one out',
  ],
  [
    UNREADABLE,
    'put the passphrase back with which the repository was begun; for another one, add a repository under another name',
  ],
  [
    /\b(NoSuchBucket|ContainerNotFound)\b/,
    'the bucket or container has to exist: make it, or correct its name',
  ],
  [
    /\b(SignatureDoesNotMatch|InvalidAccessKeyId|AuthenticationFailed|AuthorizationFailure|InvalidToken)\b/,
    'the store refuses the keys: look at the secret that the credentials name',
  ],
  [
    /\bAccessDenied\b|failed with 40[13]\b/,
    'the store refuses access: look at the keys and what they may do',
  ],
  [
    /failed with 404\b/,
    'the store does not know this place: look at bucket or container, endpoint and uriStyle',
  ],
  [/unable to verify certificate/, "name the authority of the store's certificate in its field ca"],
  [
    /unable to find hostname .* in certificate/,
    "the store's certificate is for another name: look at endpoint and uriStyle",
  ],
  [/unable to get address for '/, 'the name of the store is not known: look at its endpoint'],
  [
    /unable to connect to '|timeout connecting to '/,
    'the store is not reached: look at its endpoint, and at what the network lets through',
  ],
];

/**
 * The words of a failed request to a store: its status, the store's own code and message, the request; or that a file
 * cannot be read. Undefined when `lines` are neither.
 */
export function storeWords(lines: readonly string[]): string | undefined {
  const text = lines.join('\n');
  const unreadable = UNREADABLE.exec(text)?.[1];
  if (unreadable)
    return `${unreadable} cannot be read: it was written with another passphrase, or is damaged`;
  const lost = LOST.exec(text);
  const file = lost?.[1] ?? lost?.[2]?.concat('.info');
  if (lost)
    return `the repository has lost ${file ? `${file} and its copy` : 'archive.info and backup.info'}`;
  const failed = FAILED.exec(text);
  if (!failed) return undefined;
  const [, status, reason] = failed;
  const title = lines.findIndex((line) => line.includes('*** Path/Query ***'));
  const request = REQUEST.exec(lines[title + 1] ?? '')?.[1]?.replace(/\?.*/, '');
  const first = (patterns: RegExp[]) => patterns.map((one) => one.exec(text)?.[1]?.trim()).find(Boolean);
  const said = [first(CODE), first(MESSAGE)?.split('\n')[0]].filter(Boolean).join(': ');
  return [
    `the store answers ${[status, reason].filter(Boolean).join(' ')}`,
    ...(request ? [` to ${request}`] : []),
    ...(said ? [`: ${said}`] : []),
  ].join('');
}

/** What to do about an error of a store; undefined where nothing is known. */
export function storeRemedy(lines: readonly string[]): string | undefined {
  const text = lines.join('\n');
  return REMEDIES.find(([pattern]) => pattern.test(text))?.[1];
}
