/** From which row a page of what is listed by id goes on; 0 for the first page, and for what is no id. */
export function beyondIn(query: URLSearchParams): number {
  return Number(/^\d{1,9}$/.exec(query.get('beyond') ?? '')?.[0] ?? 0);
}

/** What a page of rows shows of one more than it holds, and from where the next one goes on. */
export function pageOf<Row extends { readonly id: number }>(
  found: readonly Row[],
  size: number,
): { shown: Row[]; next: number | null } {
  const shown = found.slice(0, size);
  return { shown, next: found.length > size ? (shown.at(-1)?.id ?? null) : null };
}

/** `1700000000000.12` of a log that is listed by time, with its kind between them where it has several. */
export function timePlaceIn(text: string | null): { at: number; kind: string; id: number } | null {
  const [, at, kind = '', id] = /^(\d{1,15})\.(?:([a-z]{1,10})\.)?(\d{1,16})$/.exec(text ?? '') ?? [];
  return at === undefined || id === undefined ? null : { at: Number(at), kind, id: Number(id) };
}

/** `href` with these parameters, those left out that are null. */
export function withQuery(
  href: string,
  parameters: Readonly<Record<string, string | number | null>>,
): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== '') query.set(name, String(value));
  }
  return query.size === 0 ? href : `${href}?${query.toString()}`;
}
