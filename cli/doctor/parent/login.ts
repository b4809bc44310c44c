import { parseJson } from '#proto/contract/bounded-json.ts';
import type { Fault } from '#proto/contract/fault.ts';
import type { ParentChallenge } from '#proto/http/parent-challenge.ts';
import { realmOf } from '#proto/http/token-realm.ts';
import { fault, type Verdict } from '../verdict/check.ts';
import { codeOf } from './connection.ts';
import type { ParentFacts, ParentTarget } from './parent-facts.ts';
import { type HttpAnswer, type ParentHttp, urlAt } from './parent-http.ts';
import { serverReason } from './server-reason.ts';

/**
 * The login at the parent. A wrong password is sent once: many registries count failed attempts, and refuse all of them
 * for a while after the fifth.
 */

/** Of the first token: without a scope, its answer depends on the login alone, as for `docker login`. */
const NO_SCOPE = '';
/** Statuses of a token service that grants tokens by POST only. */
const NO_GET = [404, 405, 501];

export type LoginSeen =
  | { how: 'none' }
  /** The parent demands a login. */
  | { how: 'missing' }
  /** An answer to the login, of the parent (Basic) or of its token service. */
  | { how: 'Basic' | 'Bearer'; realm: string; status: number; reason: string; isToken: boolean }
  | { how: 'Bearer'; realm: string; error: string }
  | { how: 'Bearer'; invalid: string };

export async function checkLogin(
  target: ParentTarget,
  facts: ParentFacts,
  signal: AbortSignal,
): Promise<Verdict> {
  const { hasIdentity, username, password } = target;
  if (hasIdentity)
    return { unchecked: 'the syncers log in with an identity of Microsoft Entra: see the check sync' };
  if (username !== undefined && password === undefined)
    return { unchecked: 'the password in parent.passwordFile can not be read here, or is empty' };
  const seen = await logIn(target, facts, signal);
  return loginVerdict(seen, target);
}

async function logIn(target: ParentTarget, facts: ParentFacts, signal: AbortSignal): Promise<LoginSeen> {
  const http = facts.http as ParentHttp;
  const { username } = target;
  const [challenge] = facts.challenges ?? [];
  const basic = basicOf(target);
  facts.basic = async () => basic;
  if (challenge?.scheme === 'bearer') return byToken(challenge, { http, basic, facts, signal });
  if (username === undefined) return challenge ? { how: 'missing' } : { how: 'none' };
  const answer = await http.request('/v2/', { headers: { authorization: basic }, signal });
  facts.authorize = async () => basic;
  return { how: 'Basic', realm: http.base.origin, ...outcomeOf(answer), isToken: false };
}

type TokenDeps = {
  http: ParentHttp;
  basic: string | undefined;
  facts: ParentFacts;
  signal: AbortSignal;
};

async function byToken({ parameters }: ParentChallenge, deps: TokenDeps): Promise<LoginSeen> {
  const { http, basic, facts, signal } = deps;
  let realm: URL;
  try {
    realm = realmOf(parameters.realm, http.base);
  } catch (error) {
    return { how: 'Bearer', invalid: (error as Fault).message };
  }
  const ask = (at: URL, scope: string, within: AbortSignal) =>
    tokenAnswer(at, { service: parameters.service, scope }, http, basic, within);
  let answer: HttpAnswer;
  try {
    try {
      answer = await ask(realm, NO_SCOPE, signal);
    } catch (error) {
      // As the syncers do: behind some proxies, the realm is reachable by the address of the parent only.
      const own = urlAt(http.base, realm.pathname);
      if (signal.aborted || own.href === realm.href || !realm.pathname.startsWith('/v2/')) throw error;
      realm = own;
      answer = await ask(realm, NO_SCOPE, signal);
    }
  } catch (error) {
    signal.throwIfAborted();
    return { how: 'Bearer', realm: realm.origin, error: codeOf(error) };
  }
  facts.authorize = async (scope, within) => {
    const token = tokenIn(await ask(realm, scope, within));
    return token && `Bearer ${token}`;
  };
  return { how: 'Bearer', realm: realm.origin, ...outcomeOf(answer), isToken: tokenIn(answer) !== undefined };
}

const outcomeOf = ({ status, body }: HttpAnswer) => ({ status, reason: serverReason(body) });

/** Asks by GET; where that is not supported, by POST as OAuth 2.0 has it. */
async function tokenAnswer(
  realm: URL,
  { service, scope }: { service: string | undefined; scope: string },
  http: ParentHttp,
  basic: string | undefined,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const url = new URL(realm);
  if (service) url.searchParams.set('service', service);
  if (scope !== NO_SCOPE) url.searchParams.set('scope', scope);
  const answer = await http.request(url, { headers: { authorization: basic }, signal });
  if (basic === undefined || !NO_GET.includes(answer.status)) return answer;
  const [username = '', ...rest] = Buffer.from(basic.slice('Basic '.length), 'base64').toString().split(':');
  const form = new URLSearchParams({
    ...{ grant_type: 'password', client_id: 'terrace', username, password: rest.join(':'), scope },
    service: service ?? realm.host,
  });
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  return http.request(realm, { method: 'POST', headers, body: form.toString(), signal });
}

function tokenIn({ status, body }: HttpAnswer): string | undefined {
  if (status !== 200) return undefined;
  try {
    const { token, access_token } = parseJson(body, { values: 1_000 }) as Record<string, unknown>;
    const one = token || access_token;
    return typeof one === 'string' && /^[\x21-\x7e]{1,32768}$/.test(one) ? one : undefined;
  } catch {
    return undefined;
  }
}

const basicOf = ({ username, password }: ParentTarget): string | undefined =>
  username === undefined ? undefined : `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

/** Pure. */
export function loginVerdict(
  seen: LoginSeen,
  { username, url }: Pick<ParentTarget, 'username' | 'url'>,
): Verdict {
  const asUser = username === undefined ? 'without a login' : `as ${username}`;
  const refused = (what: string, remedy: string): Verdict => ({ about: '', findings: [fault(what, remedy)] });
  if (seen.how === 'none') return { about: 'the parent asks for none' };
  if (seen.how === 'missing') {
    const what = 'the parent demands a login, and none is configured';
    return refused(what, 'set parent.username and parent.passwordFile');
  }
  if ('invalid' in seen)
    return refused(seen.invalid, 'correct the address of the token service at the parent');
  if ('error' in seen) {
    const what = `the token service ${seen.realm} of the parent does not answer (${seen.error})`;
    return refused(
      what,
      `open the way to ${new URL(seen.realm).host} for this machine, or correct the realm at the parent`,
    );
  }
  const { how, status, reason, realm } = seen;
  if (status === 401 || (status === 403 && how === 'Bearer' && username !== undefined)) {
    if (username === undefined) {
      const what = `the parent grants nothing without a login (${status}${reason})`;
      return refused(what, 'set parent.username and parent.passwordFile');
    }
    const what = `the parent rejects the login ${asUser} (${status}${reason})`;
    return refused(
      what,
      'write the current password to parent.passwordFile; it may be wrong, expired or disabled there',
    );
  }
  if (status === 403 && how === 'Basic') {
    const what = `the parent refuses this login, or this machine (403${reason})`;
    return refused(what, 'give the login its rights there, and permit the address of this machine');
  }
  if (status === 429) {
    const what = 'the parent refuses logins for now, after too many wrong ones (429)';
    return refused(what, 'wait some minutes, and find the client that uses a wrong password');
  }
  if (status >= 500 || (how === 'Bearer' && !seen.isToken)) {
    const what = `the token service ${realm} of the parent issues no token (${status}${reason})`;
    return refused(what, 'see its log');
  }
  const elsewhere = realm === url.origin ? '' : `, tokens from ${realm}`;
  return { about: `${asUser} (${how}${elsewhere})` };
}
