import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';
import { Instant } from '#proto/contract/scalars.ts';
import {
  isDigest,
  isRepository,
  isTag,
  parseDigestName,
  parseReferenceName,
  parseRepositoryName,
  splitDigest,
} from '#proto/oci/names.ts';

const sha256 = `sha256:${'a'.repeat(64)}`;
const sha512 = `sha512:${'0'.repeat(128)}`;
const code = (expected: string) => (error: unknown) => error instanceof Fault && error.code === expected;

test('repository names follow the specification', () => {
  const good = ['a', 'a/b/c', 'a.b', 'a_b', 'a__b', 'a-b', 'a---b', '0', 'a/b-c.d_e', 'a'.repeat(255)];
  const bad = ['', '/', 'a/', '/a', 'a//b', 'A', 'a..b', 'a___b', '.a', 'a.', '-a', 'a-', 'a b', 'ä'];
  const worse = ['a'.repeat(256), '../a', 'a/../b', 'a\n', 'a\0', '_terrace', 'a/_b', 'a:b', 'a@b', 'a%2fb'];
  for (const name of good) assert.ok(isRepository(name), name);
  for (const name of [...bad, ...worse]) {
    assert.ok(!isRepository(name), JSON.stringify(name));
    assert.throws(() => parseRepositoryName(name), code('name-invalid'));
  }
});

test('tag names follow the specification', () => {
  for (const name of ['a', '1', '_', 'A.b-c_d', 'v1.2.3', 'a'.repeat(128)]) assert.ok(isTag(name), name);
  for (const name of ['', '.a', '-a', 'a b', 'a/b', 'a:b', 'a+b', 'a\n', 'a'.repeat(129)]) {
    assert.ok(!isTag(name), JSON.stringify(name));
  }
});

test('digests are sha256 or sha512 in lower-case hexadecimal digits of the right length', () => {
  assert.ok(isDigest(sha256) && isDigest(sha512));
  assert.deepEqual(splitDigest(sha256), ['sha256', 'a'.repeat(64)]);
  const bad = [
    sha256.toUpperCase(),
    `${sha256}a`,
    sha256.slice(0, -1),
    `x${sha256}`,
    'sha256:',
    `${sha256}\n`,
  ];
  const alike = [`sha1:${'a'.repeat(40)}`, `sha256:${'a'.repeat(128)}`, `sha512:${'a'.repeat(64)}`];
  for (const name of [...bad, ...alike]) {
    assert.ok(!isDigest(name), JSON.stringify(name));
    assert.throws(() => parseDigestName(name), code('digest-invalid'));
  }
});

test('a reference with a colon is a digest, any other a tag', () => {
  assert.equal(parseReferenceName('v1'), 'v1');
  assert.equal(parseReferenceName(sha512), sha512);
  assert.throws(() => parseReferenceName('sha256:x'), code('digest-invalid'));
  assert.throws(() => parseReferenceName('-x'), code('manifest-invalid'));
});

test('the fault for a long name is short', () => {
  assert.throws(
    () => parseRepositoryName('A'.repeat(100_000)),
    (error: Error) => error.message.length < 400,
  );
});

test('an instant is within the range of a Date', () => {
  const last = 8_640_000_000_000_000;
  assert.equal(new Date(check(Instant, last)).toISOString(), '+275760-09-13T00:00:00.000Z');
  assert.throws(() => check(Instant, last + 1), /Expected integer/);
});
