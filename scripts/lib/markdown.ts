/** As much of Markdown as it takes to check the documentation. */

export interface Block {
  /** The word after the opening fence. */
  language: string;
  text: string;
}

/** A page in two: its fenced blocks, and everything else. */
export function splitPage(page: string): { blocks: Block[]; prose: string } {
  const blocks: Block[] = [];
  const prose = page.replaceAll(/^```(\w*)\n([\s\S]*?)^```$/gm, (_, language: string, text: string) => {
    blocks.push({ language, text });
    return '';
  });
  return { blocks, prose };
}

/** The anchor that a heading gets. */
export function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

/** The words that each command line on a page gives to `program`: from `sh` and `console` blocks and from code in the text. */
export function commandsOf(blocks: Block[], prose: string, program: string): string[][] {
  const lines = blocks.flatMap(({ language, text }) => {
    if (language === 'sh') return text.split('\n');
    // In a transcript, only what comes after the prompt was typed.
    if (language === 'console') return [...text.matchAll(/^\$ (.*)$/gm)].map(([, line]) => line as string);
    return [];
  });
  const inline = [...prose.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code as string);
  return [...lines, ...inline].flatMap((line) => callsOf(line, program));
}

/** The calls of a program in one line of shell: at its start, after a pipe, `;` or `&&`, and within `$(...)`. */
function callsOf(line: string, program: string): string[][] {
  const inner = [...line.matchAll(/\$\(([^()]*)\)/g)].map(([, command]) => command as string);
  const outer = line.replaceAll(/\$\([^()]*\)/g, 'x');
  return [outer, ...inner]
    .flatMap((text) => commands(words(text)))
    .flatMap((given) => {
      const rest = given[0] === 'npx' ? given.slice(1) : given;
      return rest[0] === program ? [rest.slice(1)] : [];
    });
}

/** Words of a shell line, without quotes; operators are words of their own, comments are gone. */
function words(line: string): string[] {
  const found = line.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'|;&<>]|<\()+|[|;&<>]+|#.*/g);
  return [...found]
    .map(([word]) => word)
    .filter((_, index, all) => !all.slice(0, index + 1).some((each) => each.startsWith('#')))
    .map((word) => word.replaceAll(/["']/g, ''));
}

/** Cuts a line's words into commands; what follows a redirection is no argument. */
function commands(given: string[]): string[][] {
  const all: string[][] = [[]];
  let redirected = false;
  for (const word of given) {
    if (/^[|;&]+$/.test(word)) all.push([]);
    else if (/^[<>]+$/.test(word)) redirected = true;
    else if (redirected) redirected = false;
    else all.at(-1)?.push(word);
  }
  return all.filter((command) => command.length > 0);
}

/** The fixed parts of a quoted message, where `…` or a word in capitals stands for what differs. */
export function unwrapped(message: string): string[] {
  return message
    .split(/…|\b[A-Z]{4,}\b/)
    .map((part) => part.trim())
    .filter((part) => part.length > 2);
}
