import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { ParentCredentials } from '../../../../services/syncer/link/login/credentials.ts';
import { faultOf } from '../../../../services/syncer/link/login/entra-identity.ts';
import { Exchange } from '../../../../services/syncer/link/login/exchange.ts';
import { lifeOf } from '../../../../services/syncer/link/login/token-life.ts';
import { Issuer } from '../../../support/azure/acr-tokens.ts';

const BASE = new URL('https://registry.example');
const REALM = new URL('/oauth2/token', BASE);
const CHALLENGE = `Bearer realm="${REALM}",service="registry.example",scope="repository:app:pull"`;
const HOUR = 3_600_000;
const SCOPES = ['repository:app:pull', 'repository:line/one:pull,push,delete', 'registry:catalog:*'];

/** A test registry with the clock of the test. */
function fixture() {
  const at = { now: Date.UTC(2026, 0, 1), setBack: 0 };
  const issuer = new Issuer(() => at.now);
  const requests = { identity: 0, exchange: 0, token: 0, scopes: [] as string[][] };
  const fail: { with?: Fault | undefined } = {};
  const identity = {
    token: async () => {
      requests.identity += 1;
      if (fail.with) throw fail.with;
      return { token: issuer.issue({}, 3_600), tenant: 't' };
    },
  };
  const post = async (url: URL, form: URLSearchParams): Promise<Record<string, unknown>> => {
    const good = (name: string) => issuer.read(form.get(name) ?? '') !== undefined;
    if (url.pathname === '/oauth2/exchange') {
      requests.exchange += 1;
      assert.ok(good('access_token'));
      return { refresh_token: issuer.issue({}, 3 * 3_600) };
    }
    requests.token += 1;
    requests.scopes.push(form.getAll('scope'));
    if (!good('refresh_token')) throw new Fault('parent-refused', 'POST: 401', { detail: { status: 401 } });
    return { access_token: issuer.issue({}, 4_500) };
  };
  const clock = { now: () => at.now, wall: () => at.now - at.setBack, random: () => 0.5 };
  const source = new Exchange(BASE, identity, post, clock);
  return { at, issuer, requests, fail, source, clock };
}

test('over a year, each token that is sent is valid, and none is renewed too early', async () => {
  const { at, issuer, requests, source, clock } = fixture();
  const credentials = new ParentCredentials(BASE, undefined, () => assert.fail(), { source, now: clock.now });
  await credentials.challenged(CHALLENGE, SCOPES[0] as string, undefined);
  const year = 365 * 24 * HOUR;
  const end = at.now + year;
  const ends = new Map<string, number>();
  for (let step = 0; at.now < end; step += 1, at.now += 17 * 60_000 + (step % 7) * 30_000) {
    for (const header of await Promise.all(SCOPES.map((scope) => credentials.header(scope)))) {
      const token = header?.slice('Bearer '.length) ?? '';
      if (!ends.has(token)) ends.set(token, issuer.read(token)?.exp * 1_000);
      assert.ok((ends.get(token) as number) > at.now);
    }
  }
  // Access tokens are renewed after 74 min 50 s, at most one step late. The refresh token is renewed together with one
  // of them, once it is older than 2 h 55 min.
  const minCount = (intervalMs: number) => year / (intervalMs + 20 * 60_000);
  assert.ok(
    requests.exchange <= year / (175 * 60_000) + 1 && requests.exchange >= minCount((175 + 75) * 60_000),
  );
  const perScope = requests.token / SCOPES.length;
  assert.ok(perScope <= year / (74 * 60_000) + 1 && perScope >= minCount(75 * 60_000), String(perScope));
  assert.equal(requests.identity, requests.exchange);
});

test('concurrent requests share one exchange, and one token request for each scope', async () => {
  const { requests, source } = fixture();
  const credentials = new ParentCredentials(BASE, undefined, () => assert.fail(), { source });
  await Promise.all(
    Array.from({ length: 20 }, () => credentials.challenged(CHALLENGE, 'repository:app:pull', undefined)),
  );
  const joint = 'repository:a:metadata_read repository:b:metadata_read';
  await Promise.all(Array.from({ length: 20 }, () => credentials.header(joint)));
  assert.deepEqual([requests.exchange, requests.token], [1, 2]);
  assert.deepEqual(requests.scopes[1], joint.split(' '));
});

test('a failing identity is requested with a backoff, which a success resets', async () => {
  const { at, requests, fail, source } = fixture();
  fail.with = new Fault('parent-refused', 'AADSTS7000222: the secret has expired');
  const request = () => source.token(REALM, 'registry.example', ['repository:app:pull']);
  const attempts: number[] = [];
  for (const begin = at.now; at.now < begin + 24 * HOUR; at.now += 10_000) {
    const before = requests.identity;
    await assert.rejects(request(), { code: 'parent-refused', message: /AADSTS7000222/ });
    if (requests.identity > before) attempts.push(at.now);
  }
  assert.ok(attempts.length > 24 * 12 && attempts.length < 24 * 18, String(attempts.length));
  fail.with = undefined;
  at.now += HOUR;
  assert.ok((await request()).token);
  fail.with = new Fault('busy', '429', { detail: { status: 429, retryAfterMs: 90_000 } });
  at.now += 4 * HOUR;
  await assert.rejects(request(), { code: 'busy' });
  at.now += 89_000;
  fail.with = undefined;
  await assert.rejects(request(), { code: 'busy' });
  at.now += 2_000;
  assert.ok((await request()).token);
});

test('the backoff after a failed identity is not extended when the wall clock is set back', async () => {
  const { at, fail, source } = fixture();
  const request = () => source.token(REALM, 'registry.example', ['repository:app:pull']);
  fail.with = new Fault('parent-unreachable', 'the directory is unavailable');
  await assert.rejects(request());
  fail.with = undefined;
  at.setBack = 24 * HOUR;
  at.now += 5_000;
  assert.ok((await request()).token);
});

test('the token of an identity is sent to the parent only', async () => {
  const { requests, source } = fixture();
  const elsewhere = new URL('https://elsewhere.example/oauth2/token');
  await assert.rejects(source.token(elsewhere, 'x', []), { code: 'parent-invalid', message: /elsewhere/ });
  assert.equal(requests.identity, 0);
});

test('the lifetime of a token does not depend on the clock of this machine', () => {
  const issuer = new Issuer(() => 5_000_000);
  assert.equal(lifeOf(issuer.issue({}, 4_500), 0), 4_500);
  assert.equal(lifeOf('opaque', 0), undefined);
  assert.equal(lifeOf('a.b.c', 0), undefined);
});

test('failures of an identity are mapped to faults, without secrets, tokens and pages', () => {
  const refused = faultOf(
    Object.assign(new Error('invalid_client: AADSTS7000215: Invalid s3cret. Trace ID: 1'), {
      statusCode: 401,
    }),
    's3cret',
  );
  assert.equal(refused.code, 'parent-refused');
  assert.match(refused.message, /AADSTS7000215: Invalid …\.$/);
  assert.equal(faultOf(Object.assign(new Error('x'), { statusCode: 503 })).code, 'parent-unreachable');
  assert.equal(faultOf(Object.assign(new Error('x'), { statusCode: 429 })).code, 'busy');
  const cause = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
  assert.equal(faultOf(new Error('failed', { cause })).code, 'parent-unreachable');
  assert.doesNotMatch(faultOf(new Error('token eyJhbGci.eyJzdWIi.c2ln was bad')).message, /eyJ/);
  const page = 'Error "SyntaxError" occurred while parsing the response body - <html>log in here</html>.';
  assert.doesNotMatch(faultOf(new Error(page)).message, /log in|html/);
  assert.doesNotMatch(faultOf(new Error('<h1>log in</h1>\u001b]52;c;x\u0007')).message, /log in|\p{Cc}/u);
  const long = faultOf(new Error(`${'-eyJ'.repeat(1_000_000)}`));
  assert.ok(long.message.length < 400);
});
