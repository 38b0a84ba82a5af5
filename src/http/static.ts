import type { RequestHandler } from 'express';
import { stylesheet } from './view-frame.js';

/** The one stylesheet. Its link carries a version, so it is kept for a year where that is the current one. */
export function sendStylesheet(): RequestHandler {
  const css = Buffer.from(stylesheet.css);
  return (req, res) => {
    const isCurrent = req.query.v === stylesheet.version;
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
