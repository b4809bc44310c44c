import { Fault } from '#proto/contract/fault.ts';
import { refusedAnswer } from '../answers/answers.ts';
import { type Answer, firstValue } from '../answers/bodies.ts';
import { isApiPath, namedPath } from '../answers/parent-path.ts';

/** Statuses by which a parent says that it no longer has the session, or that it never resumes one. */
const NO_SESSION = [400, 404, 405, 410, 416, 501];
/** Statuses of another host than the parent to a signed address that are not about the session. */
const BUSY = [408, 413, 429];

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

export const isSuccess = ({ statusCode }: Answer): boolean => statusCode >= 200 && statusCode <= 299;

/** Whether an answer about a session says that the parent no longer has it, or never resumes one. */
export const isSessionMissing = ({ statusCode, own }: Answer): boolean =>
  NO_SESSION.includes(statusCode) || (!own && isOfSession(statusCode));

/** Whether a status of another host than the parent says that the address of the session is no longer valid. */
const isOfSession = (status: number): boolean => status >= 400 && status <= 499 && !BUSY.includes(status);

/** `upload-unknown` if the answer says that the session does not continue there; otherwise as `refusedAnswer`. */
export function sessionFault(answer: Answer, body: string, what: string): Fault {
  const fault = refusedAnswer(answer, body, what);
  const { statusCode, own } = answer;
  const { reason } = fault.detail ?? {};
  const isMissing = [404, 410, 416].includes(statusCode) || (!own && isOfSession(statusCode));
  // A repository without write permission is "not found" as well: the session is not missing then.
  const isUnknown = isMissing && reason !== 'NAME_UNKNOWN' && reason !== 'DENIED';
  if (!isUnknown && reason !== 'BLOB_UPLOAD_INVALID') return fault;
  return new Fault('upload-unknown', fault.message, { cause: fault, detail: { ...fault.detail } });
}

/** Without the query, which may hold secrets. */
export const short = (location: string): string => location.split('?', 1)[0]?.slice(0, 200) ?? '';
