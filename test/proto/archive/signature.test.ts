import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSign, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isSignedBy, signatureOf } from '#proto/archive/signature.ts';
import { fault } from '../../storage/samples.ts';

const bytes = Buffer.from('a list\n');
const pems = (pair: {
  privateKey: import('node:crypto').KeyObject;
  publicKey: import('node:crypto').KeyObject;
}) => ({
  secret: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  open: pair.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
});
const kinds = {
  Ed25519: pems(generateKeyPairSync('ed25519')),
  'ECDSA P-256': pems(generateKeyPairSync('ec', { namedCurve: 'P-256' })),
};

for (const [kind, { secret, open }] of Object.entries(kinds)) {
  test(`${kind}: only the bytes and the key of a signature fit`, () => {
    const signature = signatureOf(bytes, secret);
    assert.ok(isSignedBy(bytes, signature, [open]));
    assert.ok(!isSignedBy(Buffer.from('another'), signature, [open]));
    const others = Object.values(kinds)
      .map((one) => one.open)
      .filter((one) => one !== open);
    assert.ok(!isSignedBy(bytes, signature, others));
    assert.ok(isSignedBy(bytes, signature, [...others, open]));
    for (const wrong of ['', 'AAAA', 'no base64 !', signature.slice(5)]) {
      assert.ok(!isSignedBy(bytes, wrong, [open]), wrong);
    }
  });
}

test('openssl verifies a signature with P-256, and its signature is accepted', () => {
  const { secret, open } = kinds['ECDSA P-256'];
  const folder = mkdtempSync(join(tmpdir(), 'terrace-signature-'));
  try {
    const file = (name: string) => join(folder, name);
    writeFileSync(file('list'), bytes);
    writeFileSync(file('key'), open);
    writeFileSync(file('sig'), Buffer.from(signatureOf(bytes, secret), 'base64'));
    const verify = ['dgst', '-sha256', '-verify', file('key'), '-signature', file('sig'), file('list')];
    assert.match(execFileSync('openssl', verify, { encoding: 'utf8' }), /Verified OK/);
  } finally {
    rmSync(folder, { recursive: true });
  }
  assert.ok(isSignedBy(bytes, createSign('sha256').update(bytes).sign(secret, 'base64'), [open]));
});

test('a key of another kind, or none, is refused', () => {
  const rsa = pems(generateKeyPairSync('rsa', { modulusLength: 2_048 }));
  assert.throws(() => signatureOf(bytes, rsa.secret), fault('archive-invalid'));
  assert.throws(() => isSignedBy(bytes, 'AAAA', [rsa.open]), fault('archive-invalid'));
  assert.throws(() => signatureOf(bytes, 'no key'), /can't be read/);
});
