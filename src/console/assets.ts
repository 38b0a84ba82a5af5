import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import type { RequestHandler } from 'express';
import { projectPath } from '../paths.js';

/** What the console's pages load: one stylesheet, one script. A new content is a new version. */
export interface Asset {
  readonly path: string;
  readonly type: string;
  readonly content: Buffer;
  readonly version: string;
}

/** Written in several files, by what they are for; sent as one. In the order of their names. */
function assetOf(ending: 'css' | 'js' | 'svg', path: string, type: string): Asset {
  const files = readdirSync(projectPath('public', 'console'))
    .filter((file) => file.endsWith(`.${ending}`))
    .sort();
  const content = Buffer.concat(files.map((file) => readFileSync(projectPath('public', 'console', file))));
  const version = createHash('sha256').update(content).digest('base64url').slice(0, 12);
  return { path, type, content, version };
}

export const stylesheet = assetOf('css', '/console/console.css', 'text/css; charset=utf-8');
export const script = assetOf('js', '/console/console.js', 'text/javascript; charset=utf-8');

export const icon = assetOf('svg', '/console/icon.svg', 'image/svg+xml');

export function linkOf({ path, version }: Asset): string {
  return `${path}?v=${version}`;
}

/** Its link carries a version, so it is kept for a year where that is the current one. */
export function sendAsset({ type, content, version }: Asset): RequestHandler {
  return (req, res) => {
    res.writeHead(200, {
      'Content-Type': type,
      'Content-Length': content.length,
      'Cache-Control': req.query.v === version ? 'public, max-age=31536000, immutable' : 'no-cache',
    });
    res.end(req.method === 'HEAD' ? undefined : content);
  };
}
