import assert from 'node:assert/strict';
import type { List } from '../../src/core/lists.js';
import type { ConsolePage, Visitor } from '../support/console.js';

/** The settings of a list as somebody has them open: what a browser would send, and nothing else. */
export async function openSettings(visitor: Visitor, list: List): Promise<Record<string, string>> {
  const page = await visitor.get(settingsPath(list));
  assert.equal(page.status, 200);
  return fieldsOf(page);
}

export function settingsPath(list: List): string {
  return `/console/lists/${list.publicId}/edit`;
}

/**
 * Sends the form as it stands, with what is typed over it.
 *
 * @param left boxes that are no longer ticked.
 */
export async function saveSettings(
  visitor: Visitor,
  list: List,
  typed: Record<string, string>,
  left: readonly string[] = [],
): Promise<ConsolePage> {
  const fields: Record<string, string> = { ...(await openSettings(visitor, list)), ...typed };
  for (const name of left) delete fields[name];
  return visitor.post(settingsPath(list), { do: 'save', ...fields });
}

/** The fields of the settings' form, as they stand in a page. */
export function fieldsOf({ html }: ConsolePage): Record<string, string> {
  const [, inside = ''] = /<form id="edit"[^>]*>([^]*?)<\/form>/.exec(html) ?? [];
  assert.notEqual(inside, '', 'there is the form');
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
    // As browsers send it.
    fields[attributeOf(attributes, 'name')] = unescaped(text).replace(/\n/g, '\r\n');
  }
  for (const [, attributes = '', options = ''] of inside.matchAll(/<select\b([^>]*)>([^]*?)<\/select>/g)) {
    const chosen =
      /<option value="([^"]*)" selected>/.exec(options) ?? /<option value="([^"]*)"/.exec(options);
    fields[attributeOf(attributes, 'name')] = unescaped(chosen?.[1] ?? '');
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
