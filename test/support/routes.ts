import type { Express } from 'express';

/** What Express keeps of a route, or of a router that stands in it. */
interface Layer {
  readonly route?: { readonly path: string | RegExp };
  readonly handle: { readonly stack?: readonly Layer[] };
  /** It stands at the root of its router. */
  readonly slash: boolean;
  match(path: string): { readonly path: string } | false;
}

/** Where a router of ours may stand: Express keeps what matches a place, and not its text. */
const places = ['/api/v1'];

/** The path of every route that an app has, as it was written; patterns as `/…/`. */
export function routesOf(app: Express): string[] {
  const { router } = app as unknown as { router: { readonly stack: readonly Layer[] } };
  return [...new Set(pathsIn(router.stack, ''))];
}

function pathsIn(stack: readonly Layer[], prefix: string): string[] {
  return stack.flatMap((layer) => {
    if (layer.route !== undefined) return [prefix + String(layer.route.path)];
    if (layer.handle.stack === undefined) return [];
    return pathsIn(layer.handle.stack, prefix + placeOf(layer));
  });
}

function placeOf(layer: Layer): string {
  if (layer.slash) return '';
  const place = places.find((one) => {
    const matched = layer.match(`${one}/x`);
    return matched !== false && matched.path === one;
  });
  if (place === undefined) throw new Error('a router stands at a place that routes.ts does not know');
  return place;
}
