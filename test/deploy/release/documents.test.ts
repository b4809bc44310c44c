import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPublicKey, verify } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { nodePackage, productionPackages } from '../../../deploy/program/production-packages.ts';
import { manuals } from '../../../deploy/release/manuals.ts';
import { provenanceOf, STATEMENT } from '../../../deploy/release/provenance.ts';
import { sbomOf } from '../../../deploy/release/sbom.ts';
import {
  envelopeOf,
  imageClaim,
  publicKeyOf,
  readKey,
  signatureOf,
} from '../../../deploy/release/signature.ts';

/** List of contents, provenance, signatures and manual pages of a release. */

const project = join(import.meta.dirname, '../../..');
const lock = JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8'));
let folder: string;
let keyFile: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-release-'));
  keyFile = join(folder, 'key.pem');
  execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', keyFile], { stdio: 'ignore' });
});
after(() => rm(folder, { recursive: true, force: true }));

type Spdx = {
  packages: { SPDXID: string; name: string; versionInfo: string; licenseDeclared: string }[];
  relationships: { spdxElementId: string; relatedSpdxElement: string }[];
  documentNamespace: string;
};
const about = {
  version: '1.2.3',
  commit: 'a'.repeat(40),
  packages: productionPackages(lock),
  node: nodePackage(lock, 'amd64'),
  debian: [{ name: 'bash', version: '5.2.15-2+b8' }],
};

test('the list of contents has each package once, with its version and licence', () => {
  const { packages, relationships } = sbomOf(about) as Spdx;
  const ids = packages.map(({ SPDXID }) => SPDXID);
  assert.equal(new Set(ids).size, ids.length);
  for (const id of ids) assert.match(id, /^SPDXRef-[\w.-]+$/);
  assert.equal(relationships.length, packages.length);
  const named = (name: string) => packages.find((each) => each.name === name);
  assert.equal(named('fastify')?.licenseDeclared, 'MIT');
  assert.equal(named('fastify')?.versionInfo, lock.packages['node_modules/fastify'].version);
  assert.equal(named('node')?.versionInfo, about.node.version);
  assert.equal(named('debian/bash')?.versionInfo, '5.2.15-2+b8');
  assert.equal(named('typescript'), undefined);
});

test('the list of contents is the same for the same content, and has another name for another one', () => {
  assert.deepEqual(sbomOf(about), sbomOf(about));
  const { documentNamespace } = sbomOf(about) as Spdx;
  assert.notEqual((sbomOf({ ...about, debian: [] }) as Spdx).documentNamespace, documentNamespace);
});

test('the provenance names commit and files', () => {
  const statement = provenanceOf({
    subjects: [{ name: 'terrace.deb', sha256: 'b'.repeat(64) }],
    ...{
      commit: about.commit,
      repository: undefined,
      architectures: ['amd64'],
      tools: {},
      builder: 'https://b',
    },
  }) as { subject: object[]; predicate: { buildDefinition: { resolvedDependencies: { digest: object }[] } } };
  assert.deepEqual(statement.subject, [{ name: 'terrace.deb', digest: { sha256: 'b'.repeat(64) } }]);
  const [source] = statement.predicate.buildDefinition.resolvedDependencies;
  assert.deepEqual(source?.digest, { gitCommit: about.commit });
});

test('openssl verifies the signature of the checksums', () => {
  const key = readKey(keyFile);
  const [sums, signature, publicKey] = ['SHA256SUMS', 'SHA256SUMS.sig', 'terrace.pub'].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  writeFileSync(sums, 'abc  file\n');
  writeFileSync(signature, signatureOf(key, readFileSync(sums)));
  writeFileSync(publicKey, publicKeyOf(key));
  const check = () =>
    execFileSync(
      'openssl',
      ['pkeyutl', '-verify', '-pubin', '-inkey', publicKey, '-rawin', '-in', sums, '-sigfile', signature],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
    );
  assert.match(check(), /Verified Successfully/);
  writeFileSync(sums, 'abd  file\n');
  assert.throws(check);
});

test('an envelope is signed over its type and its payload', () => {
  const key = readKey(keyFile);
  const payload = Buffer.from('{"_type":"x"}');
  const { payload: encoded, signatures } = envelopeOf(key, STATEMENT, payload) as {
    payload: string;
    signatures: { sig: string }[];
  };
  const signed = Buffer.from(`DSSEv1 ${STATEMENT.length} ${STATEMENT} ${payload.length} ${payload}`);
  assert.equal(Buffer.from(encoded, 'base64').toString(), payload.toString());
  const publicKey = createPublicKey(publicKeyOf(key));
  assert.ok(verify(null, signed, publicKey, Buffer.from(signatures[0]?.sig ?? '', 'base64')));
  assert.match(imageClaim('sha256:1').toString(), /"docker-manifest-digest":"sha256:1"/);
});

test('another kind of key is refused with the command for a right one', () => {
  const other = join(folder, 'rsa.pem');
  execFileSync('openssl', ['genpkey', '-algorithm', 'rsa', '-out', other], { stdio: 'ignore' });
  assert.throws(() => readKey(other), /openssl genpkey -algorithm ed25519/);
});

test('the package has manual pages and completions of all shells', async () => {
  const files = await manuals(project, join(folder, 'man'));
  const names = Object.keys(files);
  for (const name of [
    'usr/share/man/man1/terrace.1.gz',
    'usr/share/man/man1/terrace-up.1.gz',
    'usr/share/man/man5/terrace.yaml.5.gz',
    'usr/share/bash-completion/completions/terrace',
    'usr/share/zsh/vendor-completions/_terrace',
  ]) {
    assert.ok(names.includes(name), `${name}: ${names.join(' ')}`);
  }
  assert.ok(existsSync(join(folder, 'man/terrace.1')));
});
