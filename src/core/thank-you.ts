import type { Token } from 'markdown-it';
import { isSafeLink, plainTextOf, readMarkdown } from './thank-you-markdown.js';

/** What a thank-you text may be made of. The views write these as escaped text: no HTML of anybody's passes. */
export type Inline =
  | { readonly type: 'text' | 'code'; readonly text: string }
  | { readonly type: 'strong' | 'em'; readonly children: readonly Inline[] }
  | { readonly type: 'link'; readonly href: string; readonly children: readonly Inline[] }
  | { readonly type: 'br' };

export type Block =
  | { readonly type: 'paragraph'; readonly children: readonly Inline[] }
  | { readonly type: 'heading'; readonly level: number; readonly children: readonly Inline[] }
  | {
      readonly type: 'list';
      /** The first number of an ordered list; null for bullets. */
      readonly start: number | null;
      readonly items: readonly (readonly Block[])[];
    }
  | { readonly type: 'blockquote'; readonly children: readonly Block[] }
  | { readonly type: 'code'; readonly text: string }
  | { readonly type: 'hr' };

export interface ThankYou {
  /** The heading that the text begins with: it takes the place of the page's own. */
  readonly title: readonly Inline[] | null;
  readonly blocks: readonly Block[];
}

export type ThankYouProblem = 'empty' | 'too-long' | 'too-deep' | 'too-many-marks' | 'control-character';

const longestText = 10_000; // UTF-16 units
const deepest = 6; // lists and quotes in one another; and, inside a paragraph, links and emphasis

// A list's text is on the page of everybody who opts out by it.
const mostKept = 100;
const kept = new Map<string, ThankYou>();

/** The texts of a list by language, as they are stored. What cannot be read must not close the page: it has none. */
export function readThankYouTexts(json: string): Record<string, string> {
  try {
    return JSON.parse(json) as Record<string, string>;
  } catch {
    return {};
  }
}

/** Why a text cannot be saved as a thank-you text: a stable code, or null where it can. */
export function validateThankYou(text: string): ThankYouProblem | null {
  if (text.length > longestText) return 'too-long';
  if (/[^\P{Cc}\t\n\r]/u.test(text)) return 'control-character';
  const tree = readTree(text);
  if (tree.hasTooManyMarks) return 'too-many-marks';
  if (tree.depth > deepest) return 'too-deep';
  return tree.isVisible ? null : 'empty';
}

/**
 * Reads Markdown (CommonMark without HTML, images and tables; a line end is a line break; http, https
 * and mailto links alone) into a tree at most six containers and six inline marks deep. A text that
 * shows nothing has neither title nor blocks.
 *
 * Never throws, since it is called when an opt-out has been recorded: what is longer than 10,000 UTF-16
 * units is cut off, what is nested deeper is moved up, and a paragraph with too many marks shows them as they are.
 * Headings go from 2 on and leave out no level, whatever the author did.
 */
export function parseThankYou(text: string): ThankYou {
  const start = text.slice(0, longestText);
  const read = kept.get(start) ?? shownOf(readTree(start));
  kept.delete(start);
  kept.set(start, read);
  for (const [oldest] of kept) if (kept.size > mostKept) kept.delete(oldest);
  return read;
}

function shownOf({ title, blocks, isVisible }: Tree): ThankYou {
  return isVisible ? { title, blocks } : { title: null, blocks: [] };
}

interface Tree extends ThankYou {
  /** How deep the text was meant to go, before anything was moved up. */
  readonly depth: number;
  readonly isVisible: boolean;
  readonly hasTooManyMarks: boolean;
}

function readTree(text: string): Tree {
  const { tokens, hasTooManyMarks } = readMarkdown(text);
  const root: Block[] = [];
  const open = [root]; // where blocks go: the innermost list item or quote last
  const lists: (Block[][] | null)[] = []; // the items of the lists we are in; null for one that is moved up
  let title: readonly Inline[] | null = null;
  let depth = 0;
  let deepestSeen = 0;
  let isVisible = false;
  let heading = 1;

  const enter = () => {
    deepestSeen = Math.max(deepestSeen, ++depth);
    return depth <= deepest;
  };

  for (const [place, token] of tokens.entries()) {
    const here = open.at(-1) ?? root;
    switch (token.type) {
      case 'bullet_list_open':
      case 'ordered_list_open': {
        const items: Block[][] | null = enter() ? [] : null;
        if (items) here.push({ type: 'list', start: firstNumber(token), items });
        lists.push(items);
        break;
      }
      case 'list_item_open': {
        const items = lists.at(-1);
        const item = items ? [] : here;
        items?.push(item);
        open.push(item);
        break;
      }
      case 'blockquote_open': {
        const quote: Block[] = enter() ? [] : here;
        if (quote !== here) here.push({ type: 'blockquote', children: quote });
        open.push(quote);
        break;
      }
      case 'list_item_close':
        open.pop();
        break;
      case 'blockquote_close':
        open.pop();
        depth--;
        break;
      case 'bullet_list_close':
      case 'ordered_list_close':
        lists.pop();
        depth--;
        break;
      case 'inline': {
        const plain = plainTextOf(token);
        const line = plain === null ? readInlines(token.children ?? []) : readPlain(plain);
        deepestSeen = Math.max(deepestSeen, line.depth);
        isVisible ||= line.isVisible;
        const raw = headingLevel(tokens[place - 1]);
        if (raw === null) here.push({ type: 'paragraph', children: line.children });
        else if (!line.isVisible)
          break; // a heading that says nothing
        else if (place === 1) title = line.children;
        else {
          heading = Math.min(Math.max(2, title ? raw : raw + 1), heading + 1, 6);
          here.push({ type: 'heading', level: heading, children: line.children });
        }
        break;
      }
      case 'fence':
      case 'code_block':
        isVisible ||= canBeSeen(token.content);
        here.push({ type: 'code', text: token.content });
        break;
      case 'hr':
        here.push({ type: 'hr' });
        break;
    }
  }
  return { title, blocks: root, depth: deepestSeen, isVisible, hasTooManyMarks };
}

/** Emphasis can be nested as deep as the text is long, so this keeps a stack of its own. */
function readInlines(tokens: readonly Token[]) {
  const root: Inline[] = [];
  const open = [root];
  let href = ''; // of the link we are in; there are none inside links
  let deepestSeen = 0;
  let isVisible = false;

  const enter = (make: (children: Inline[]) => Inline, isWanted = true) => {
    const here = open.at(-1) ?? root;
    deepestSeen = Math.max(deepestSeen, open.length);
    const inside: Inline[] = isWanted && open.length <= deepest ? [] : here;
    if (inside !== here) here.push(make(inside));
    open.push(inside);
  };

  for (const token of tokens) {
    const here = open.at(-1) ?? root;
    if (token.type === 'strong_open') enter((children) => ({ type: 'strong', children }));
    else if (token.type === 'em_open') enter((children) => ({ type: 'em', children }));
    else if (token.type === 'link_open') {
      const to = String(token.attrGet('href') ?? '');
      // `[words]()` comes without ever having been asked about.
      enter((children) => ({ type: 'link', href: to, children }), isSafeLink(to));
      href = to;
    } else if (token.type === 'link_close') {
      // A link around nothing shows where it leads, so that it can be seen and clicked.
      if (here.length === 0) here.push({ type: 'text', text: href });
      isVisible ||= href !== '';
      open.pop();
    } else if (token.nesting === -1) open.pop();
    else if (token.type === 'softbreak' || token.type === 'hardbreak') here.push({ type: 'br' });
    else if (token.content !== '') {
      isVisible ||= canBeSeen(token.content);
      here.push({ type: token.type === 'code_inline' ? 'code' : 'text', text: token.content });
    }
  }
  return { children: root, depth: deepestSeen, isVisible };
}

function readPlain(text: string): ReturnType<typeof readInlines> {
  const lines = text.split('\n').map((line): Inline => ({ type: 'text', text: line }));
  const children = lines.flatMap((line, place): Inline[] => (place === 0 ? [line] : [{ type: 'br' }, line]));
  return { children, depth: 0, isVisible: canBeSeen(text) };
}

function firstNumber(token: Token): number | null {
  if (token.type !== 'ordered_list_open') return null;
  return Number(token.attrGet('start') ?? 1);
}

function headingLevel(token: Token | undefined): number | null {
  return token?.type === 'heading_open' ? Number(token.tag.slice(1)) : null;
}

function canBeSeen(text: string): boolean {
  return /[\p{L}\p{N}\p{P}\p{S}]/u.test(text);
}
