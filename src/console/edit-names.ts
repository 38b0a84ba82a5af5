import { nameList, namesOfList, unnameList } from '../core/list-names.js';
import { Invalid, Refused } from '../errors.js';
import { surfaces } from '../surfaces.js';
import { view, type ListVisit, type Screen } from './screen.js';

const page = view('console/edit-names.ejs');

/** The APIs in which lists have names of their own. */
const naming = surfaces.filter(({ listNoun }) => listNoun !== null);

/** What the list is called in the APIs: what a program that was written for a vendor goes on calling it. */
export const editNames: Screen<ListVisit> = {
  async show({ deps, t, list }) {
    const names = await namesOfList(deps.db, list);
    const titleOf = (name: string) => surfaces.find((one) => one.name === name)?.title ?? name;
    return page(t('edit-names.title'), {
      names: names.map((one) => ({ ...one, title: titleOf(one.surface) })),
      choices: naming.map(({ name, title, listNoun }) => [name, `${title}: ${listNoun}`]),
    });
  },
  async act({ deps, form, list, actor }) {
    const redirect = `/console/lists/${list.publicId}/edit/names`;
    const surface = form?.get('surface') ?? '';
    const name = form?.get('name') ?? '';
    if (!naming.some((one) => one.name === surface)) {
      throw new Invalid('surface', 'unknown', 'surface is none of the APIs that name lists');
    }
    if (form?.get('do') === 'remove') {
      await unnameList(deps.db, list, surface, name, { actor });
      return { redirect, done: 'list-unnamed' };
    }
    try {
      await nameList(deps.db, list, surface, name, { actor });
    } catch (error) {
      if (!(error instanceof Refused) || error.reason !== 'name-taken') throw error;
      throw new Invalid('name', 'taken-by-list', error.message);
    }
    return { redirect, done: 'list-named' };
  },
};
