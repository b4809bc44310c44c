import { Fault } from '#proto/contract/fault.ts';
import { type Answer, firstValue } from '../answers/bodies.ts';
import { isApiPath, namedPath } from '../answers/parent-path.ts';

/** An upload at the parent: the location for its next bytes, and the number of bytes that the parent has. */
export type UploadSession = { location: string; offset: number };

/**
 * The location at which an upload continues, by the header Location of an answer. A path of the API is always requested
 * of the parent, and the host ignored: behind a proxy, the parent may not know the name by which it is reached.
 * @param before the location in use, for an answer that names none
 * @returns a complete path at the parent, or a URL
 * @throws Fault `parent-invalid`
 */
export function locationOf(answer: Answer, base: URL, before?: string): string {
  const location = firstValue(answer.headers.location) ?? before;
  const url =
    location !== undefined && URL.canParse(location, answer.from.href)
      ? new URL(location, answer.from)
      : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new Fault('parent-invalid', 'the parent sent no valid location for the upload');
  }
  const isParent = url.origin === base.origin || isApiPath(base, url.pathname);
  return isParent ? namedPath(base, url, answer.from) : url.href;
}

/**
 * The session as an answer describes it. `Range: 0-<last>` gives the bytes that the parent has. By convention, 0-0
 * means none, as no upload is sent byte by byte.
 * @param before the location in use, for an answer that names none
 * @param reached the bytes that the parent has, if the answer does not say
 * @throws Fault `parent-invalid`
 */
export function sessionIn(answer: Answer, base: URL, before: string, reached = 0): UploadSession {
  const last = /^(?:bytes=)?0-(\d{1,15})$/.exec(firstValue(answer.headers.range)?.trim() ?? '')?.[1];
  const offset = last === undefined ? reached : last === '0' ? 0 : Number(last) + 1;
  return { location: locationOf(answer, base, before), offset };
}
