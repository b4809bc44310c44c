import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { execute } from '../../../support/registry/debian.ts';
import { type PushedImage, pushArtifact, pushImage } from '../../../support/registry/image.ts';
import { type Pushed, pushBlob, pushManifest } from '../../../support/registry/registry.ts';

/** An index as BuildKit, cosign and an SBOM tool leave it at a registry. */

export type SignedImage = { index: Pushed; amd64: PushedImage; arm64: PushedImage; spdx: Buffer };

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const IN_TOTO = 'application/vnd.in-toto+json';
const SPDX = 'https://spdx.dev/Document';
const EMPTY_CONFIG = 'application/vnd.oci.image.config.v1+json';

/** PEM of a certificate that names this address. */
async function certificateOf(address: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-signer-'));
  try {
    const [key, file] = [join(folder, 'key'), join(folder, 'crt')];
    const subject = [
      '-subj',
      '/O=Example Works/CN=Example Root',
      '-addext',
      `subjectAltName=email:${address}`,
    ];
    const pair = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    await execute('openssl', ['req', '-x509', ...pair, ...subject, '-keyout', key, '-out', file]);
    return await readFile(file, 'utf8');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Pushes an index of two platforms with an attestation of BuildKit that holds an SBOM of amd64, a signature of cosign
 * by tag, and an SBOM of the index as a referrer.
 */
export async function pushSigned(host: string, repository: string, tag: string): Promise<SignedImage> {
  const layers = (name: string) => [{ seed: name, size: 5_000 }];
  const platformOf = (architecture: string) => ({ os: 'linux', architecture });
  const [amd64, arm64] = [
    await pushImage(host, repository, undefined, { layers: layers('a'), platform: platformOf('amd64') }),
    await pushImage(host, repository, undefined, { layers: layers('b'), platform: platformOf('arm64') }),
  ];
  const packages = ['=cmd', 'openssl', 'zlib'].map((name) => ({ name, versionInfo: '1' }));
  const statement = json({
    _type: 'https://in-toto.io/Statement/v0.1',
    predicateType: SPDX,
    predicate: { spdxVersion: 'SPDX-2.3', name: 'of amd64', packages },
  });
  const attestation = await pushManifest(host, repository, undefined, mediaTypes.ociManifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: {
      ...(await pushBlob(host, repository, json({ architecture: 'unknown' }))),
      mediaType: EMPTY_CONFIG,
    },
    layers: [
      {
        ...(await pushBlob(host, repository, statement)),
        mediaType: IN_TOTO,
        annotations: { 'in-toto.io/predicate-type': SPDX },
      },
    ],
  });
  const entry = ({ mediaType, digest, size }: Pushed) => ({ mediaType, digest, size });
  const index = await pushManifest(host, repository, tag, mediaTypes.ociIndex, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: [
      { ...entry(amd64), platform: amd64.platform },
      { ...entry(arm64), platform: arm64.platform },
      {
        ...entry(attestation),
        platform: { os: 'unknown', architecture: 'unknown' },
        annotations: {
          'vnd.docker.reference.type': 'attestation-manifest',
          'vnd.docker.reference.digest': amd64.digest,
        },
      },
    ],
    annotations: { 'org.opencontainers.image.version': '2.1', 'example.internal': 'x' },
  });
  const payload = json({ critical: { image: { 'docker-manifest-digest': index.digest } } });
  await pushManifest(host, repository, `${index.digest.replace(':', '-')}.sig`, mediaTypes.ociManifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { ...(await pushBlob(host, repository, json({}))), mediaType: EMPTY_CONFIG },
    layers: [
      {
        ...(await pushBlob(host, repository, payload)),
        mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
        annotations: {
          'dev.cosignproject.cosign/signature': 'c2lnbmF0dXJl',
          'dev.sigstore.cosign/certificate': await certificateOf('release@example.org'),
        },
      },
    ],
  });
  const spdx = json({ spdxVersion: 'SPDX-2.3', name: 'of the index', packages: packages.slice(1) });
  await pushArtifact(host, repository, {
    subject: index,
    artifactType: 'application/spdx+json',
    layers: [spdx],
  });
  return { index, amd64, arm64, spdx };
}
