/** A form of a page, and what a browser would send of it as it stands. */
export interface Form {
  readonly action: string;
  readonly method: 'get' | 'post';
  /** Of all that it can send: of its buttons and of boxes that are not ticked as well. */
  readonly names: readonly string[];
  /** With its first button pressed; but for the token, which whoever sends it has. */
  readonly standing: Readonly<Record<string, string>>;
}

const token = 'csrf';

/** The forms of a page of the console. */
export function formsOf(html: string): Form[] {
  return [...html.matchAll(/<form\b([^>]*)>([^]*?)<\/form>/g)].map(([, attributes = '', inside = '']) => {
    const names = [...inside.matchAll(/\bname="([^"]+)"/g)].map(([, name = '']) => unescaped(name));
    return {
      action: attributeOf(attributes, 'action').replace(/^https?:\/\/[^/]+/, ''),
      method: /\bmethod="post"/i.test(attributes) ? 'post' : 'get',
      names: [...new Set(names)].filter((name) => name !== token),
      standing: standingIn(inside),
    };
  });
}

function standingIn(inside: string): Record<string, string> {
  const [, button = ''] = /<button\b([^>]*)>/.exec(inside) ?? [];
  const pressed = { [attributeOf(button, 'name')]: attributeOf(button, 'value') };
  const standing = Object.entries({ ...fieldsIn(inside), ...pressed });
  return Object.fromEntries(standing.filter(([name]) => name !== '' && name !== token));
}

/** What the fields between a form's tags hold, as browsers send it. */
export function fieldsIn(inside: string): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [, attributes = ''] of inside.matchAll(/<input\b([^>]*)>/g)) {
    const isChoice = /type="(?:radio|checkbox)"/.test(attributes);
    if (!isChoice || /\bchecked\b/.test(attributes)) {
      fields[attributeOf(attributes, 'name')] = attributeOf(attributes, 'value');
    }
  }
  for (const [, attributes = '', text = ''] of inside.matchAll(
    /<textarea\b([^>]*)>\n?([^]*?)<\/textarea>/g,
  )) {
    fields[attributeOf(attributes, 'name')] = unescaped(text).replace(/\n/g, '\r\n');
  }
  for (const [, attributes = '', options = ''] of inside.matchAll(/<select\b([^>]*)>([^]*?)<\/select>/g)) {
    const [chosen = ''] =
      /<option\b[^>]*\bselected\b[^>]*>/.exec(options) ?? /<option\b[^>]*>/.exec(options) ?? [];
    fields[attributeOf(attributes, 'name')] = attributeOf(chosen, 'value');
  }
  return fields;
}

function attributeOf(tag: string, name: string): string {
  return unescaped(new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1] ?? '');
}

function unescaped(text: string): string {
  const characters: Record<string, string> = { amp: '&', lt: '<', gt: '>', '#34': '"', '#39': "'" };
  return text.replace(/&(amp|lt|gt|#34|#39);/g, (_, name: string) => characters[name] ?? '');
}
