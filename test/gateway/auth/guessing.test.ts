import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { after, before, mock, test } from 'node:test';
import { hashPassword, verifyPassword } from '#proto/accounts/password-hash.ts';
import { Fault } from '#proto/contract/fault.ts';
import { MAX_WAITING, PasswordVerifier } from '../../../services/gateway/auth/password-verifier.ts';
import { limits } from '../../../services/gateway/auth/throttle.ts';
import { basic, bearer, on, Tokens, tokenFor } from '../accounts.ts';
import { GatewayRig } from '../gateway-rig.ts';
import { check } from '../rows.ts';

// The clock of the throttle is slowed down, so that no wait ends while a slow machine checks passwords.
const real = performance.now.bind(performance);
const began = real();
mock.method(performance, 'now', () => began + (real() - began) / 10_000);

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());

let right: string;
let other: string;
before(async () => {
  const tokens = await Tokens.of(layer);
  right = await tokens.create('ci', on('*', 'content/read'));
  other = await tokens.create('other', on('*', 'content/read'));
});

/** This machine is a trusted proxy by default. */
const from = (address: string) => ({ 'x-forwarded-for': address });
const attempt = (name: string, password: string, address: string) =>
  layer.fetch('GET', '/v2/', { headers: { ...basic(name, password), ...from(address) } });

test('guessing is refused after some failures, with Retry-After; verified credentials and other names are not', async () => {
  const attacker = '192.0.2.1';
  const verified = await attempt('ci', right, '192.0.2.2');
  const bearerHeaders = bearer(await tokenFor(layer, { ...basic('ci', right), ...from('192.0.2.2') }));
  equal(verified.status, 200);
  for (let i = 0; i < limits.pair.free; i += 1) equal((await attempt('ci', `${i}`, attacker)).status, 401);
  await check(layer, {
    send: ['GET', '/v2/'],
    headers: { ...basic('ci', 'again'), ...from(attacker) },
    status: 429,
    code: 'TOOMANYREQUESTS',
    expectedHeaders: { 'retry-after': '1', 'www-authenticate': null },
  });
  const form = { 'content-type': 'application/x-www-form-urlencoded', ...from(attacker) };
  await check(layer, {
    send: ['POST', '/v2/token'],
    headers: form,
    body: 'username=ci&password=again',
    status: 429,
  });
  // The password verified before, a Bearer token, and another name.
  equal((await attempt('ci', right, attacker)).status, 200);
  await check(layer, {
    send: ['GET', '/v2/'],
    headers: { ...bearerHeaders, ...from(attacker) },
    status: 200,
  });
  equal((await attempt('other', other, attacker)).status, 200);
});

test('a right password that was not verified before is refused, too, at the address of the guesses', async () => {
  const password = await (await Tokens.of(layer)).rotate('other');
  for (let i = 0; i < limits.pair.free; i += 1)
    equal((await attempt('other', `${i}`, '192.0.2.3')).status, 401);
  const refused = await attempt('other', password, '192.0.2.3');
  equal(refused.status, 429);
  equal((await attempt('other', password, '192.0.2.4')).status, 200);
});

test('concurrent guesses do not bypass the limit', async () => {
  const guesses = Array.from({ length: 40 }, (_, i) => attempt('ci', `at-once-${i}`, '192.0.2.5'));
  const statuses = (await Promise.all(guesses)).map(({ status }) => status);
  const checked = statuses.filter((status) => status === 401).length;
  equal(checked + statuses.filter((status) => status === 429).length, 40);
  equal(checked, limits.pair.free);
});

test('concurrent requests with the same new password are one attempt, and succeed', async () => {
  const password = await (await Tokens.of(layer)).rotateSecond('ci');
  const all = await Promise.all(Array.from({ length: 40 }, () => attempt('ci', password, '192.0.2.6')));
  deepEqual([...new Set(all.map(({ status }) => status))], [200]);
});

test('an unknown name is refused with the same answer as a known one, after similar work', async () => {
  const measure = async (name: string, address: string) => {
    const started = process.cpuUsage();
    const response = await attempt(name, 'wrong', address);
    const text = await response.text();
    return { status: response.status, text, work: process.cpuUsage(started).user };
  };
  const known: number[] = [];
  const unknown: number[] = [];
  for (let i = 0; i < 3; i += 1) {
    const one = await measure('ci', `192.0.2.${20 + i}`);
    const two = await measure('nobody', `192.0.2.${20 + i}`);
    equal(one.status, 401);
    deepEqual([two.status, two.text], [one.status, one.text]);
    known.push(one.work);
    unknown.push(two.work);
  }
  // Processor time: without a hash it would be a millisecond or two.
  ok(Math.min(...unknown) > Math.min(...known) / 3, `${unknown} for unknown names, ${known} for known ones`);
});

const passwordOf = (hash: string) => ({ name: 'password1' as const, hash, fingerprint: '' });

test('only the right password matches a hash as storage creates it', async () => {
  const hash = await hashPassword('right');
  equal(await verifyPassword('right', hash), true);
  equal(await verifyPassword('wrong', hash), false);
  equal(await verifyPassword('', hash), false);
  for (const stored of ['', 'right', 'scrypt$14$8$1$$', 'md5$14$8$1$AAAA$AAAA']) {
    equal(await verifyPassword('right', stored), false);
  }
});

test('a verified login is valid for the hash that it matched, and for no other', async () => {
  const passwords = new PasswordVerifier();
  const [one, two] = [passwordOf(await hashPassword('right')), passwordOf(await hashPassword('right'))];
  const login = passwords.loginKeyOf('ci', 'right');
  equal(passwords.findVerified(login, [one, two]), undefined);
  equal(await passwords.verify(login, 'right', async () => [two, one]), two);
  equal(passwords.findVerified(login, [one, two]), two);
  equal(passwords.findVerified(login, [one]), undefined);
  equal(passwords.findVerified(passwords.loginKeyOf('ci', 'wrong'), [one, two]), undefined);
  equal(passwords.findVerified(passwords.loginKeyOf('cir', 'ight'), [one, two]), undefined);
  equal(passwords.findVerified(new PasswordVerifier().loginKeyOf('ci', 'right'), [one, two]), undefined);
});

test('passwords beyond MAX_WAITING are refused at once, with a time to retry', async () => {
  const passwords = new PasswordVerifier();
  const { promise: go, resolve } = Promise.withResolvers<void>();
  const wait = async () => {
    await go;
    throw new Error('none');
  };
  const waiting = Array.from({ length: 2 + MAX_WAITING }, () => passwords.verify('', '', wait));
  await passwords.verify('', '', wait).then(
    () => ok(false),
    (error) => {
      ok(Fault.is(error, 'too-many'));
      match(error.message, /try again in \d+ s/);
    },
  );
  resolve();
  const ends = await Promise.allSettled(waiting);
  ok(ends.every((end) => end.status === 'rejected' && end.reason.message === 'none'));
});
