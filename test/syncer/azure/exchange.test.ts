import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { ParentCredentials } from '../../../services/syncer/link/login/credentials.ts';
import { faultOf } from '../../../services/syncer/link/login/entra-identity.ts';
import { Exchange } from '../../../services/syncer/link/login/exchange.ts';
import { lifeOf } from '../../../services/syncer/link/login/token-life.ts';
import { Issuer } from '../../support/azure/acr-tokens.ts';

const BASE = new URL('https://registry.example');
const REALM = new URL('/oauth2/token', BASE);
const CHALLENGE = `Bearer realm="${REALM}",service="registry.example",scope="repository:app:pull"`;
const HOUR = 3_600_000;
const SCOPES = ['repository:app:pull', 'repository:line/one:pull,push,delete', 'registry:catalog:*'];

/** A registry of a few lines whose clock is the test's. */
function scene() {
  const at = { now: Date.UTC(2026, 0, 1), setBack: 0 };
  const issuer = new Issuer(() => at.now);
  const asked = { identity: 0, exchange: 0, token: 0, scopes: [] as string[][] };
  const fail: { with?: Fault | undefined } = {};
  const identity = {
    token: async () => {
      asked.identity += 1;
      if (fail.with) throw fail.with;
      return { token: issuer.issue({}, 3_600), tenant: 't' };
    },
  };
  const post = async (url: URL, form: URLSearchParams): Promise<Record<string, unknown>> => {
    const good = (name: string) => issuer.read(form.get(name) ?? '') !== undefined;
    if (url.pathname === '/oauth2/exchange') {
      asked.exchange += 1;
      assert.ok(good('access_token'));
      return { refresh_token: issuer.issue({}, 3 * 3_600) };
    }
    asked.token += 1;
    asked.scopes.push(form.getAll('scope'));
    if (!good('refresh_token')) throw new Fault('parent-refused', 'POST: 401', { detail: { status: 401 } });
    return { access_token: issuer.issue({}, 4_500) };
  };
  const clock = { now: () => at.now, wall: () => at.now - at.setBack, random: () => 0.5 };
  const source = new Exchange(BASE, identity, post, clock);
  return { at, issuer, asked, fail, source, clock };
}

test('a year of renewals: every token that is sent is good, and none is asked for too early', async () => {
  const { at, issuer, asked, source, clock } = scene();
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
  // Access tokens are renewed after 74 min 50 s, a step late at most; the refresh token with one of them, once it is
  // older than 2 h 55 min.
  const least = (every: number) => year / (every + 20 * 60_000);
  assert.ok(asked.exchange <= year / (175 * 60_000) + 1 && asked.exchange >= least((175 + 75) * 60_000));
  const each = asked.token / SCOPES.length;
  assert.ok(each <= year / (74 * 60_000) + 1 && each >= least(75 * 60_000), String(each));
  assert.equal(asked.identity, asked.exchange);
});

test('many who ask at once are one exchange, and one request for each scope', async () => {
  const { asked, source } = scene();
  const credentials = new ParentCredentials(BASE, undefined, () => assert.fail(), { source });
  await Promise.all(
    Array.from({ length: 20 }, () => credentials.challenged(CHALLENGE, 'repository:app:pull', undefined)),
  );
  const joint = 'repository:a:metadata_read repository:b:metadata_read';
  await Promise.all(Array.from({ length: 20 }, () => credentials.header(joint)));
  assert.deepEqual([asked.exchange, asked.token], [1, 2]);
  assert.deepEqual(asked.scopes[1], joint.split(' '));
});

test('an identity that fails is left alone for longer and longer, and forgiven when it is back', async () => {
  const { at, asked, fail, source } = scene();
  fail.with = new Fault('parent-refused', 'AADSTS7000222: the secret has expired');
  const ask = () => source.token(REALM, 'registry.example', ['repository:app:pull']);
  const tries: number[] = [];
  for (const begin = at.now; at.now < begin + 24 * HOUR; at.now += 10_000) {
    const before = asked.identity;
    await assert.rejects(ask(), { code: 'parent-refused', message: /AADSTS7000222/ });
    if (asked.identity > before) tries.push(at.now);
  }
  assert.ok(tries.length > 24 * 12 && tries.length < 24 * 18, String(tries.length));
  fail.with = undefined;
  at.now += HOUR;
  assert.ok((await ask()).token);
  fail.with = new Fault('busy', '429', { detail: { status: 429, retryAfterMs: 90_000 } });
  at.now += 4 * HOUR;
  await assert.rejects(ask(), { code: 'busy' });
  at.now += 89_000;
  fail.with = undefined;
  await assert.rejects(ask(), { code: 'busy' });
  at.now += 2_000;
  assert.ok((await ask()).token);
});

test('an identity that failed is left alone no longer where the clock of the day is set back', async () => {
  const { at, fail, source } = scene();
  const ask = () => source.token(REALM, 'registry.example', ['repository:app:pull']);
  fail.with = new Fault('parent-unreachable', 'the directory is away');
  await assert.rejects(ask());
  fail.with = undefined;
  at.setBack = 24 * HOUR;
  at.now += 5_000;
  assert.ok((await ask()).token);
});

test('the token of an identity goes to the parent alone', async () => {
  const { asked, source } = scene();
  const elsewhere = new URL('https://elsewhere.example/oauth2/token');
  await assert.rejects(source.token(elsewhere, 'x', []), { code: 'parent-invalid', message: /elsewhere/ });
  assert.equal(asked.identity, 0);
});

test('a token is good from when it came, whatever the clock of this machine says', () => {
  const issuer = new Issuer(() => 5_000_000);
  assert.equal(lifeOf(issuer.issue({}, 4_500), 0), 4_500);
  assert.equal(lifeOf('opaque', 0), undefined);
  assert.equal(lifeOf('a.b.c', 0), undefined);
});

test('failures of an identity: what passes, what does not, and what is not said', () => {
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
