import { readdirSync, readFileSync } from 'node:fs';
import { createInstance, type ResourceLanguage } from 'i18next';
import type { Translate } from '../core/languages.js';
import { consoleLanguages, isConsoleLanguage, type ConsoleLanguage } from '../core/users.js';
import { projectPath } from '../paths.js';

/** The console's texts: `locales/console/en/lists.json` holds what begins with `lists.`, and so on. */
const resources = Object.fromEntries(
  consoleLanguages.map((language) => [language, { translation: loadTexts(language) }]),
);

const i18n = createInstance();
await i18n.init({
  resources,
  fallbackLng: 'en',
  supportedLngs: [...consoleLanguages],
  nsSeparator: false,
  // The views escape.
  interpolation: { escapeValue: false, skipOnVariables: true },
});

/** The texts of one language. */
export function consoleTexts(language: ConsoleLanguage): Translate {
  const t = i18n.getFixedT(language);
  return (key, values) => t(key, { ...values });
}

/** Whether there is a text of this key: for keys made from codes that come from elsewhere. */
export function hasConsoleText(key: string): boolean {
  return /^[\w.-]{1,100}$/.test(key) && i18n.exists(key, { lng: 'en' });
}

/** The language to speak: the user's own, else the first one of Accept-Language that we have, else English. */
export function chooseConsoleLanguage(own: string | null, acceptLanguage: unknown): ConsoleLanguage {
  if (isConsoleLanguage(own)) return own;
  const wanted = typeof acceptLanguage === 'string' ? acceptLanguage.slice(0, 1000).toLowerCase() : '';
  const firsts = wanted.split(',').map((one) => one.trim().slice(0, 2));
  return firsts.find(isConsoleLanguage) ?? 'en';
}

function loadTexts(language: ConsoleLanguage): ResourceLanguage {
  const folder = projectPath('locales', 'console', language);
  return Object.fromEntries(
    readdirSync(folder)
      .filter((file) => file.endsWith('.json'))
      .map((file) => [
        file.slice(0, -'.json'.length),
        JSON.parse(
          readFileSync(projectPath('locales', 'console', language, file), 'utf8'),
        ) as ResourceLanguage,
      ]),
  );
}
