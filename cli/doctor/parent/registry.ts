import { Fault } from '#proto/contract/fault.ts';
import { readChallenges } from '#proto/http/parent-challenge.ts';
import { fault, type Verdict } from '../verdict/check.ts';
import { clientPair } from './client-certificate.ts';
import { alertOf, codeOf, hostOf } from './connection.ts';
import type { ParentFacts, ParentTarget } from './parent-facts.ts';
import { type HttpAnswer, ParentHttp, urlAt } from './parent-http.ts';
import { serverReason } from './server-reason.ts';

/** Whether a registry answers at the address of the parent. */

/** Max lists of tags that are read to see whether a host without `/v2/` is a registry. */
const MAX_PROBES = 3;

export async function checkRegistry(
  target: ParentTarget,
  facts: ParentFacts,
  signal: AbortSignal,
): Promise<Verdict> {
  const pair = await clientPair(target);
  const options = { proxy: facts.proxy, ca: target.ca, pair: Fault.is(pair) ? undefined : pair };
  const http = await ParentHttp.open(target.url, options);
  facts.http = http;
  let answer: HttpAnswer;
  try {
    answer = await ping(http, signal);
  } catch (error) {
    signal.throwIfAborted();
    const isTls = target.url.protocol === 'https:' && !facts.proxy;
    const alert = isTls
      ? await alertOf(target.url, { ca: target.ca, pair: options.pair, signal })
      : undefined;
    return unansweredVerdict(target, alert ?? codeOf(error));
  }
  facts.headers = answer.headers;
  facts.challenges = answer.status === 401 ? readChallenges(answer.headers['www-authenticate']) : [];
  if (answer.status === 404 && (await listsTags(target, http, signal))) {
    return { about: 'it has no /v2/, and lists of tags: a static registry' };
  }
  return registryVerdict(hostOf(target.url), answer, target.username !== undefined);
}

/** Follows a redirect within the API of the same host, as the syncers do. */
async function ping(http: ParentHttp, signal: AbortSignal): Promise<HttpAnswer> {
  const answer = await http.request('/v2/', { signal });
  const { location = '' } = answer.headers;
  if (answer.status < 300 || answer.status >= 400 || !URL.canParse(location, http.base.href)) return answer;
  const next = new URL(location, urlAt(http.base, '/v2/'));
  return next.origin === http.base.origin && /\/v2\//.test(next.pathname)
    ? http.request(next, { signal })
    : answer;
}

/** Whether one of the repositories that are selected by name has a list of tags. */
async function listsTags(
  { patterns }: ParentTarget,
  http: ParentHttp,
  signal: AbortSignal,
): Promise<boolean> {
  const names = patterns.filter((pattern) => !pattern.endsWith('*')).slice(0, MAX_PROBES);
  for (const name of names) {
    const { status, body } = await http.request(`/v2/${name}/tags/list`, { signal });
    if (status === 200 && /"tags"\s*:\s*\[/.test(body.toString())) return true;
  }
  return false;
}

/** Alerts of a server that refuses a client without a certificate, or with one that it does not trust. */
const CERTIFICATE_DEMANDED =
  /ALERT_(?:HANDSHAKE_FAILURE|CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_(?:UNKNOWN|EXPIRED|REVOKED)|ACCESS_DENIED)/;

/** Pure. */
export function unansweredVerdict(
  { url, certificateFile }: Pick<ParentTarget, 'url' | 'certificateFile'>,
  code: string,
): Verdict {
  const host = hostOf(url);
  if (!CERTIFICATE_DEMANDED.test(code)) {
    const what = `${host} accepts the connection, and does not answer GET /v2/ (${code})`;
    return {
      about: '',
      findings: [fault(what, 'see the log of the parent, and of proxies and firewalls on the way')],
    };
  }
  return certificateFile === undefined
    ? {
        about: '',
        findings: [
          fault(
            `the parent demands a client certificate, and none is configured (${code})`,
            'let its authority issue one, and name it in parent.certificateFile and parent.keyFile',
          ),
        ],
      }
    : {
        about: '',
        findings: [
          fault(
            `the parent refuses the client certificate (${code})`,
            'let the authority that the parent trusts issue it, and write it to parent.certificateFile',
          ),
        ],
      };
}

/** Pure. @param hasLogin which may be accepted where a request without one is refused */
export function registryVerdict(
  host: string,
  { status, headers, body }: Pick<HttpAnswer, 'status' | 'headers' | 'body'>,
  hasLogin: boolean,
): Verdict {
  const isPage = /html/i.test(headers['content-type'] ?? '');
  const isRegistry =
    headers['docker-distribution-api-version'] !== undefined ||
    (status === 401 && readChallenges(headers['www-authenticate']).length > 0);
  const about = `GET /v2/ is answered with ${status}`;
  const isOpen = status === 200 || (status === 403 && hasLogin);
  if (isRegistry && status !== 403) return { about };
  if (isOpen && !isPage) return { about };
  if (status === 403 && !isPage) {
    const what = `the parent refuses this machine (403${serverReason(body)})`;
    const remedy =
      'permit its address in the firewall of the parent, or set parent.username and parent.passwordFile';
    return { about, findings: [fault(what, remedy)] };
  }
  if (status >= 300 && status < 400) {
    const to = headers.location ?? 'nowhere';
    const place = URL.canParse(to, `https://${host}`) ? new URL(to, `https://${host}`).origin : to;
    const what = `${host} redirects GET /v2/ to ${place}`;
    return { about, findings: [fault(what, 'write the address of the registry itself in parent.url')] };
  }
  if (status === 429) {
    const what = `the parent limits requests (429${headers['retry-after'] ? `, for ${headers['retry-after']} s` : ''})`;
    return { about, findings: [fault(what, 'wait; if it stays, log in there, or synchronize more seldom')] };
  }
  if (status >= 500) {
    const what = `the parent answers GET /v2/ with ${status}${serverReason(body)}`;
    return { about, findings: [fault(what, 'see the log of the parent, or of the proxy before it')] };
  }
  const kind = isPage ? 'a web page' : `${status}`;
  return {
    about,
    findings: [
      fault(
        `${host} is no registry: it answers GET /v2/ with ${kind}`,
        'correct host, port and path in parent.url; a sign-in page of a network has to be passed first',
      ),
    ],
  };
}
