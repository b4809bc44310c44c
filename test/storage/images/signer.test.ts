import { deepEqual } from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { signerOf } from '../../../services/storage/images/signer.ts';
import { execute } from '../../support/registry/debian.ts';
import { sharedFolder } from '../../support/shared-folder.ts';

/** What a signature says of its author, in each format; nothing of it is verified. */

const folder = sharedFolder('signers');

async function certificateOf(subject: string, alternative?: string): Promise<string> {
  const [key, file] = [join(folder, 'key'), join(folder, 'crt')];
  const pair = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', subject];
  const names = alternative ? ['-addext', `subjectAltName=${alternative}`] : [];
  await execute('openssl', ['req', '-x509', ...pair, ...names, '-keyout', key, '-out', file]);
  return readFile(file, 'utf8');
}

const derOf = (pem: string) => new X509Certificate(pem).raw.toString('base64');
const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const NOTATION = 'application/vnd.cncf.notary.signature';
const COSIGN = 'application/vnd.dev.cosign.artifact.sig.v1+json';

test('the name in the certificate is the author: an alternative name, else that of the subject', async () => {
  const workflow = 'https://example.org/works/web/.github/workflows/release.yml@refs/heads/main';
  const pem = await certificateOf('/O=sigstore.dev', `URI:${workflow}`);
  const named = { by: workflow, issuer: 'sigstore.dev', verified: false };
  deepEqual(signerOf(COSIGN, { 'dev.sigstore.cosign/certificate': pem }, undefined), {
    ...{ scheme: 'cosign', ...named },
  });
  for (const verificationMaterial of [
    { certificate: { rawBytes: derOf(pem) } },
    { x509CertificateChain: { certificates: [{ rawBytes: derOf(pem) }] } },
  ])
    deepEqual(signerOf(BUNDLE, {}, json({ verificationMaterial })), { scheme: 'sigstore', ...named });
  const works = await certificateOf('/C=DE/O=Example Works/CN=release');
  deepEqual(signerOf(NOTATION, {}, json({ header: { x5c: [derOf(works)] } })), {
    ...{ scheme: 'notation', by: 'release', issuer: 'release', verified: false },
  });
});

test('a signature by a key alone, and one that can not be read, has no author', () => {
  deepEqual(signerOf(COSIGN, {}, undefined), { scheme: 'cosign', verified: false });
  for (const content of [
    json({ verificationMaterial: { publicKey: { hint: 'x' } } }),
    json({ verificationMaterial: { certificate: { rawBytes: 'AAAA' } } }),
    json({ header: { x5c: [7] } }),
    Buffer.from('no JSON'),
  ])
    deepEqual(signerOf(BUNDLE, {}, content), { scheme: 'sigstore', verified: false });
  deepEqual(signerOf('application/vnd.example', { 'dev.sigstore.cosign/certificate': 'x' }, undefined), {
    ...{ scheme: 'other', verified: false },
  });
});
