import type { RequestHandler } from 'express';
import { stylesheet, type Stylesheet } from './view-frame.js';

/** A stylesheet. Its link carries a version, so it is kept for a year where that is the current one. */
export function sendStylesheet({ css: text, version }: Stylesheet = stylesheet): RequestHandler {
  const css = Buffer.from(text);
  return (req, res) => {
    const isCurrent = req.query.v === version;
    res.writeHead(200, {
      'Content-Type': 'text/css; charset=utf-8',
      'Content-Length': css.length,
      'Cache-Control': isCurrent ? 'public, max-age=31536000, immutable' : 'no-cache',
    });
    res.end(req.method === 'HEAD' ? undefined : css);
  };
}

/** Opt-out pages are for those who were sent there. */
export function sendRobots(): RequestHandler {
  return (_req, res) => {
    res.setHeader('Cache-Control', 'public, max-age=86400');
    res.type('text/plain').send('User-agent: *\nDisallow: /\n');
  };
}
