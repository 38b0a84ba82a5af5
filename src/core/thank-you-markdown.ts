import MarkdownIt, { type Token } from 'markdown-it';

/** What a text is made of, as markdown-it has it. */
export interface Marked {
  readonly tokens: readonly Token[];
  /** Some of it has so many marks that they were left as the characters they are (`plainTextOf`). */
  readonly hasTooManyMarks: boolean;
}

// For each mark, markdown-it may look through all that follows in the same paragraph: some milliseconds by this.
const mostWork = 400_000; // marks times UTF-16 units of their paragraph, of all paragraphs
const mostLines = 1000; // of lists that is how many items they may have
const marks = /[[*_`@<\\&]|\/\//g;

// Images would load from elsewhere on a page that promises to load nothing; tables want more room than
// a phone has. Autolinks without a scheme are off: `Node.js` and `README.md` look like domains.
const markdown = new MarkdownIt({ html: false, linkify: true, breaks: true }).disable([
  'image',
  'table',
  'strikethrough',
]);
markdown.linkify.set({ fuzzyLink: false, fuzzyEmail: true });
markdown.validateLink = isSafeLink;
markdown.core.ruler.after('block', 'bounds', ({ tokens, env }) => {
  let work = 0;
  for (const token of tokens) {
    if (token.type !== 'inline') continue;
    const costs = (token.content.match(marks)?.length ?? 0) * token.content.length;
    if (work + costs <= mostWork) {
      work += costs;
      continue;
    }
    (env as { hasTooManyMarks: boolean }).hasTooManyMarks = true;
    token.meta = { text: token.content };
    token.content = '';
  }
});

/** Reads Markdown, in a bounded time whatever is written. */
export function readMarkdown(text: string): Marked {
  const env = { hasTooManyMarks: false };
  const end = endOfLines(text);
  const tokens = markdown.parse(text.slice(0, end), env);
  return { tokens, hasTooManyMarks: env.hasTooManyMarks || end < text.length };
}

/** What stands in a paragraph that has too many marks; null for any other. */
export function plainTextOf({ meta }: Token): string | null {
  return (meta as { text: string } | null)?.text ?? null;
}

/** Relative links would lead into this service, other schemes anywhere. */
export function isSafeLink(url: string): boolean {
  return /^(?:https?:\/\/[^\s/]|mailto:[^\s])/i.test(url);
}

function endOfLines(text: string): number {
  let lines = 0;
  for (const { index } of text.matchAll(/\r\n?|\n/g)) if (++lines >= mostLines) return index;
  return text.length;
}
