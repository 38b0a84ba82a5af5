import { z } from 'zod';

/** What several operations have in common. */

export const listParameter = z.string().meta({
  description: "The list's public id, as it stands in its URLs.",
  example: 'kq8mt3wzn5vx7rjcb2hd',
});

/** A whole number in a query. */
export function wholeNumber(min: number, max: number) {
  const sentence = `It must be a whole number from ${min} to ${max}.`;
  return z
    .string()
    .superRefine((text, context) => {
      const isFit = /^\d{1,9}$/.test(text) && Number(text) >= min && Number(text) <= max;
      if (!isFit) context.addIssue({ code: 'custom', message: sentence, params: { code: 'out-of-range' } });
    })
    .transform(Number)
    .meta({ type: 'integer', minimum: min, maximum: max });
}

export const time = z.iso.datetime({ offset: true }).meta({
  format: 'date-time',
  example: '2026-01-31T12:00:00.000Z',
});

/** ISO 8601 in UTC, as all times go out. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString();
}

export function timeOrNull(ms: number | null): string | null {
  return ms === null ? null : timeText(ms);
}
