import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import {
  renderAfterwardsPage,
  renderOptOutPage,
  renderProblemPage,
  renderThankYouPage,
} from '../../src/http/views.js';
import { projectPath } from '../../src/paths.js';
import { baseUrl, payloads, skeleton } from './pages.js';

/** All that anybody can put on a page, in every field at once. */
function pagesWith(text: string, contact = text): string[] {
  const list = {
    publicId: text,
    name: text,
    operatorName: `A${text}`,
    postalAddress: text,
    contact,
    privacyUrl: `https://acme.example/${text.replace(/\s/g, '')}`,
  };
  const frame = { list, language: 'en', baseUrl };
  const languageForm = { action: `/?x=${text}`, fields: { email: text, [text]: text } };
  const afterwards = { token: text, undoAction: `/${text}`, reasonAction: `/${text}` };
  const fields = { email: text, tag: `t${text}`, mailer: `m${text}`, redirectHost: text, languageForm };
  return [
    renderOptOutPage({ ...frame, ...fields, mode: 'form', errorCode: 'no-at' }),
    renderOptOutPage({ ...frame, ...fields, mode: 'form', errorCode: text }),
    renderOptOutPage({ ...frame, ...fields, mode: 'confirm' }),
    renderOptOutPage({ ...frame, ...fields, mode: 'confirm', action: `/o/${text}/opt-out` }),
    renderThankYouPage({ ...frame, email: text, tag: text, receipt: text, afterwards }),
    renderProblemPage({
      ...frame,
      problem: 'unavailable',
      errorId: text,
      retry: { action: `/${text}`, fields: { [text]: text } },
      languageForm,
    }),
    ...(['undone', 'reason', 'expired'] as const).map((state) => renderAfterwardsPage({ ...frame, state })),
  ];
}

describe('What anybody types', () => {
  it('stays text: no payload adds an element or an attribute to any page', () => {
    const harmless = pagesWith('x', '+49 30').map(skeleton);
    for (const payload of payloads) {
      const contact = payload.includes('@') || /^https?:/.test(payload) ? '+49 30' : payload;
      pagesWith(payload, contact).forEach((html, place) => {
        assert.deepEqual(skeleton(html), harmless[place], `${place}: ${payload}`);
      });
    }
  });

  it('is shown as it was typed', () => {
    for (const payload of ['<b>"x"</b>', '{{list}} $t(page.button)', '<%= 1 %>', "O'Hara & Co"]) {
      const escaped = payload
        .replaceAll('&', '&amp;')
        .replaceAll('<', '&lt;')
        .replaceAll('>', '&gt;')
        .replaceAll('"', '&#34;')
        .replaceAll("'", '&#39;');
      for (const html of pagesWith(payload, '+49 30').slice(0, 5)) assert.ok(html.includes(escaped), payload);
    }
  });

  it('stays text inside Markdown: nothing but the few elements, and links to the web and to mail alone', () => {
    const list = {
      publicId: 'x',
      name: 'x',
      operatorName: 'x',
      postalAddress: null,
      contact: null,
      privacyUrl: null,
    };
    const known =
      /^\/?(?:h[1-6]|p|ul|ol(?: start)?|li|blockquote|pre|code|hr|br|strong|em|a(?: href rel)?|div(?: class lang dir)?)$/;
    for (const payload of payloads) {
      for (const markdown of [
        payload,
        `# ${payload}`,
        `> - ${payload}`,
        `**${payload}**`,
        `\`${payload}\``,
        `\`\`\`\n${payload}`,
        `[${payload}](https://a.b/${payload})`,
        `<https://a.b/${payload}>`,
      ]) {
        const html = renderThankYouPage({
          list,
          language: 'en',
          baseUrl,
          text: { markdown, language: 'en' },
        });
        const from = html.indexOf('</svg>') + '</svg>'.length;
        const text = html.slice(from, html.indexOf('</main>'));
        for (const tag of skeleton(text)) {
          assert.match(tag.replace(/^h1 lang dir$/, 'h1'), known, `${markdown}: ${tag}`);
        }
        for (const [, href = ''] of text.matchAll(/href="([^"]*)"/g))
          assert.match(href, /^(?:https?:\/\/|mailto:)/);
      }
    }
  });
});

describe('The views', () => {
  const views = readdirSync(projectPath('views'), { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ejs'),
  );

  it('write data by <%= alone, and hold no script, no style and nothing from elsewhere', () => {
    assert.ok(views.length > 5);
    for (const view of views) {
      const source = readFileSync(projectPath('views', view), 'utf8');
      assert.doesNotMatch(source, /<%-(?! include\('\/[\w/-]+'(?:, \{(?:(?!%>).)*\})?\) %>)/, view);
      // The console has one script, a file of ours; and fields that show how an address begins.
      const allowed = ['<script src="<%= page.scriptHref %>" defer></script>', "placeholder: 'https://'"];
      const rest = view.startsWith('console/')
        ? allowed.reduce((text, one) => text.replaceAll(one, ''), source)
        : source;
      assert.doesNotMatch(rest, /<script|<style|\sstyle=|\son[a-z]+=|javascript:|https?:\/\//i, view);
    }
  });

  it('quote every attribute that holds data', () => {
    for (const view of views) {
      const source = readFileSync(projectPath('views', view), 'utf8');
      // A query inside of quotes is none: href="…?beyond=<%= … %>".
      const quoted = source.replace(/"(?:[^"<]|<(?!%)|<%(?:(?!%>)[^])*%>)*"/g, '""');
      assert.doesNotMatch(quoted, /=\s*<%=|='[^']*<%=/, view);
    }
  });
});
