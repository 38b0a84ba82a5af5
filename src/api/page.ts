import type { RequestHandler } from 'express';
import type { Deps } from '../deps.js';
import { sendHtml } from '../http/respond.js';
import { pagePolicy } from '../http/security-headers.js';
import { compile, stylesheet, stylesheetOf } from '../http/view-frame.js';
import type { ApiDocument } from './document.js';
import type { AnyOperation } from './operation.js';
import { chaptersOf, segmentsOf } from './page-model.js';
import { problemTypes } from './problem-types.js';

const template = compile('api/page.ejs');

export const pageStylesheet = stylesheetOf('api.css', '/api/v1/page.css');

/** The API's page: made once of the document, the same for everyone, without script. */
export function renderPage(
  baseUrl: string,
  document: ApiDocument,
  operations: readonly AnyOperation[],
): string {
  return template({
    title: 'Signoff API',
    base: `${baseUrl}/api/v1`,
    stylesheets: [stylesheet, pageStylesheet].map(({ path, version }) => `${baseUrl}${path}?v=${version}`),
    chapters: chaptersOf(document, operations, baseUrl),
    problems: Object.entries(problemTypes).map(([name, { status, title, text }]) => ({
      name,
      status,
      title,
      text: segmentsOf(text),
    })),
  });
}

export function sendPage(
  { baseUrl, metrics }: Deps,
  document: ApiDocument,
  operations: readonly AnyOperation[],
): RequestHandler {
  const html = renderPage(baseUrl, document, operations);
  return (req, res) => {
    res.setHeader('Content-Security-Policy', pagePolicy(null));
    sendHtml(req, res, 200, html, { 'Cache-Control': 'public, max-age=300' });
    metrics.answered('api', res.statusCode);
  };
}
