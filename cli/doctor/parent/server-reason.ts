import { parseJson } from '#proto/contract/bounded-json.ts';
import { clip } from '#proto/contract/clip.ts';

/** Max length of the reason of a server that is quoted, in characters. */
const MAX_REASON = 120;

/** `: DENIED the reason`, of an error body of the distribution-spec; empty if there is none. Pure. */
export function serverReason(body: Uint8Array): string {
  try {
    const { errors, details } = parseJson(body, { values: 10_000 }) as {
      errors?: { code?: unknown; message?: unknown }[];
      details?: unknown;
    };
    const { code, message = details } = errors?.[0] ?? {};
    const words = [code, message].filter((word) => typeof word === 'string' && word !== '').join(' ');
    return words === '' ? '' : `: ${clip(words, MAX_REASON)}`;
  } catch {
    return '';
  }
}
