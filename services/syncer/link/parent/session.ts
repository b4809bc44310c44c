import { Fault } from '#proto/contract/fault.ts';
import { type Answer, firstValue } from '../answers/bodies.ts';
import { isApiPath, namedPath } from '../answers/parent-path.ts';

/**
 * An upload at the parent: the location for its next bytes, and the number of bytes that the parent has. `taken`: bytes
 * for which it answered with success, if it reports fewer.
 */
export type UploadSession = { location: string; offset: number; taken?: number };

/**
 * The location at which an upload continues, by the header Location of an answer. A path of the API is always requested
 * of the parent, and the host ignored: behind a proxy, the parent may not know the name by which it is reached.
 * @param before the location in use, for an answer that names none, or one that is not valid
 * @returns a complete path at the parent, or a URL
 * @throws Fault `parent-invalid`
 */
export function locationOf(answer: Answer, base: URL, before?: string): string {
  const url = urlIn(firstValue(answer.headers.location), answer) ?? urlIn(before, answer);
  if (!url) throw new Fault('parent-invalid', 'the parent sent no valid location for the upload');
  const isParent = url.origin === base.origin || isApiPath(base, url.pathname);
  return isParent ? namedPath(base, url, answer.from) : url.href;
}

function urlIn(location: string | undefined, { from }: Answer): URL | undefined {
  if (!location || !URL.canParse(location, from.href)) return undefined;
  const url = new URL(location, from);
  return /^https?:$/.test(url.protocol) ? url : undefined;
}

/**
 * The number of bytes by `Range: 0-<last>`, also with a unit. By convention, 0-0 means none, as no upload is sent byte
 * by byte.
 * @returns undefined if the answer does not say
 */
export function rangeIn(answer: Answer): number | undefined {
  const range = firstValue(answer.headers.range)?.trim() ?? '';
  const last = /^(?:bytes[= ])?0-(-1|\d{1,15})$/.exec(range)?.[1];
  return last === undefined ? undefined : last === '0' ? 0 : Number(last) + 1;
}
