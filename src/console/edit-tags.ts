import { addTags } from '../core/tags.js';
import { view, type ListVisit, type Screen } from './screen.js';

const page = view('console/edit-tags.ejs');

/** The parts of a list's mail that can be left one by one. */
export const editTags: Screen<ListVisit> = {
  show: ({ t, list }) => Promise.resolve(page(t('edit-tags.title'), { tags: [...list.tags].sort() })),
  async act({ deps, form, list, actor }) {
    const lines = (form?.get('tag') ?? '').split(/\r\n?|\n/);
    const tags = lines.filter((line) => line.trim() !== '');
    await addTags(deps.db, list.id, tags.length === 0 ? [''] : tags, { actor });
    return { redirect: `/console/lists/${list.publicId}/edit/tags`, done: 'tags-added' };
  },
};
