import assert from 'node:assert/strict';
import type { List } from '../../src/core/lists.js';
import type { ConsolePage, Visitor } from '../support/console.js';
import { fieldsIn } from '../support/forms.js';

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
  return fieldsIn(inside);
}
