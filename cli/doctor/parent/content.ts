import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { isAddress, isIn, isInNetworkOf, isPublic } from '#proto/http/addresses.ts';
import { fault, type Verdict, warning } from '../verdict/check.ts';
import { codeOf, hostOf } from './connection.ts';
import type { ParentFacts, ParentTarget } from './parent-facts.ts';
import type { HttpAnswer, ParentHttp } from './parent-http.ts';
import { sampleImage } from './sample-image.ts';

/** Whether blobs can be read: many registries refer to another host for them. */

/** Max redirects that are followed, as of the syncers. */
const MAX_HOPS = 5;
/** Bytes of a blob that are read where the parent ignores the range. */
const MAX_BYTES = 64 * 1024;
const REDIRECTS = [301, 302, 303, 307, 308];

/** `host`: that has the blobs, if it is not the parent itself. */
export type ContentSeen = { host?: string } & (
  | { status: number }
  /** The host can't be reached. */
  | { error: string }
  /** Syncers do not go there. */
  | { forbidden: 'without TLS' | 'private network' | 'too many redirects' }
);

export async function checkContent(
  target: ParentTarget,
  facts: ParentFacts,
  signal: AbortSignal,
): Promise<Verdict> {
  const image = await sampleImage(target, facts, signal);
  if (image?.blob === undefined)
    return { unchecked: 'the selected repositories have no image to try it with' };
  const { repository, blob } = image;
  return contentVerdict(
    await readByte(`/v2/${repository}/blobs/${blob}`, repository, { target, facts, signal }),
  );
}

type Deps = { target: ParentTarget; facts: ParentFacts; signal: AbortSignal };

/** Asks for the first byte of a blob, through redirects. */
async function readByte(
  path: string,
  repository: string,
  { target, facts, signal }: Deps,
): Promise<ContentSeen> {
  const http = facts.http as ParentHttp;
  const authorization = await facts.authorize?.(`repository:${repository}:pull`, signal);
  const range = { range: 'bytes=0-0', 'accept-encoding': 'identity' };
  let answer = await http.request(path, {
    headers: { authorization, ...range },
    maxBytes: MAX_BYTES,
    signal,
  });
  let from = target.url;
  for (let hop = 0; hop < MAX_HOPS; hop += 1) {
    const next = redirectOf(answer, from);
    const host = from.origin === target.url.origin ? {} : { host: from.host };
    if (!next) return { ...host, status: answer.status };
    if (from.protocol === 'https:' && next.protocol !== 'https:')
      return { host: next.host, forbidden: 'without TLS' };
    if (!facts.proxy && !(await isReachable(next, target, facts))) {
      return { host: next.host, forbidden: 'private network' };
    }
    const isOwn = next.origin === target.url.origin;
    try {
      const headers = { ...(isOwn && { authorization }), ...range };
      answer = await http.request(next, { headers, maxBytes: MAX_BYTES, signal });
    } catch (error) {
      signal.throwIfAborted();
      return { host: next.host, error: codeOf(error) };
    }
    from = next;
  }
  return { host: from.host, forbidden: 'too many redirects' };
}

function redirectOf({ status, headers: { location } }: HttpAnswer, from: URL): URL | undefined {
  if (!REDIRECTS.includes(status) || !location || !URL.canParse(location, from.href)) return undefined;
  const next = new URL(location, from);
  return /^https?:$/.test(next.protocol) ? next : undefined;
}

/** Whether syncers go to this host: see `allowedHosts` in docs/reference/configuration.md. */
async function isReachable(
  url: URL,
  { url: parent, allowedHosts }: ParentTarget,
  { addresses: own = [] }: ParentFacts,
): Promise<boolean> {
  const host = hostOf(url).toLowerCase();
  if (host === hostOf(parent).toLowerCase()) return true;
  if (allowedHosts.some((one) => (one.startsWith('*.') ? host.endsWith(one.slice(1)) : host === one)))
    return true;
  const found = isIP(host) ? [host] : await addressesOf(host);
  const networks = allowedHosts.filter((one) => isAddress(one.split('/', 1)[0] as string));
  const isAllowed = (address: string) =>
    isPublic(address) || networks.some((one) => isIn(address, one)) || isInNetworkOf(address, own);
  // A name without an address fails when it is connected to, and says more then.
  return found.length === 0 || found.some(isAllowed);
}

const addressesOf = async (host: string): Promise<string[]> =>
  (await lookup(host, { all: true }).catch(() => [])).map(({ address }) => address);

/** Pure. */
export function contentVerdict(seen: ContentSeen): Verdict {
  const { host } = seen;
  const about = host === undefined ? 'blobs come from the parent itself' : `blobs come from ${host}`;
  const refused = (what: string, remedy: string): Verdict => ({ about, findings: [fault(what, remedy)] });
  if ('error' in seen) {
    const what = `blobs come from ${host}, which can't be reached (${seen.error})`;
    return refused(what, `open the way to ${host}: DNS, firewall, proxy, and its certificate`);
  }
  if ('forbidden' in seen) {
    return seen.forbidden === 'private network'
      ? refused(
          `blobs come from ${host}, which is on this machine or in a private network other than the parent's`,
          `if that is intended, add ${host?.replace(/:\d+$/, '')} to parent.allowedHosts`,
        )
      : refused(
          `the parent redirects blobs to ${host}: ${seen.forbidden}`,
          'correct the address of its storage at the parent',
        );
  }
  const { status } = seen;
  if (status === 206) return { about: `${about}, by ranges: transfers resume` };
  if (status === 200) {
    const what = `${about}, and ranges are ignored: a transfer that is cut off starts again at its first byte`;
    return { about, findings: [warning(what, 'look for a proxy on the way that removes Range')] };
  }
  return refused(
    `a blob is answered with ${status}${host === undefined ? '' : ` by ${host}`}`,
    'see the log of the parent: its storage may lack the content, or refuse the login',
  );
}
