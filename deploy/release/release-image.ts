import type { KeyObject } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packagesIn } from '../image/base-root.ts';
import { addImage } from '../image/image.ts';
import { type Descriptor, INDEX, MANIFEST, OciLayout } from '../image/oci-layout.ts';
import type { Architecture } from '../program/needed-files.ts';
import { STATEMENT, type Subject } from './provenance.ts';
import { type SbomOptions, sbomOf } from './sbom.ts';
import { envelopeOf, imageClaim, signatureOf } from './signature.ts';

/** The image of a release: one index for all architectures, with list of contents, provenance and signature. */

const SPDX = 'application/spdx+json';
const DSSE = 'application/vnd.dsse.envelope.v1+json';
const SIMPLE_SIGNING = 'application/vnd.dev.cosign.simplesigning.v1+json';

export type ReleaseImageOptions = {
  about: Omit<SbomOptions, 'debian'>;
  roots: Map<Architecture, string>;
  programs: Map<Architecture, string>;
  work: string;
  /** Folder of the release. */
  target: string;
  /** Beginning of the names of files. */
  name: string;
  signer: KeyObject | undefined;
  /** Of the list of contents. */
  file: string;
  provenance: (subjects: Subject[]) => object;
};

export async function releaseImage(options: ReleaseImageOptions): Promise<void> {
  const { about, roots, programs, work, target, name, signer, file, provenance } = options;
  const layout = await OciLayout.create(join(work, 'layout'));
  const labels = {
    'org.opencontainers.image.title': 'Terrace',
    'org.opencontainers.image.description': 'A connected container registry for layered networks',
    'org.opencontainers.image.licenses': 'MIT',
    'org.opencontainers.image.version': about.version,
    'org.opencontainers.image.revision': about.commit,
  };
  const manifests: Descriptor[] = [];
  for (const [architecture, program] of programs) {
    const root = roots.get(architecture) as string;
    manifests.push(await addImage({ layout, architecture, root, program, work, labels }));
  }
  const index = await layout.addJson(INDEX, {
    schemaVersion: 2,
    mediaType: INDEX,
    manifests,
    annotations: labels,
  });
  await layout.list(index, about.version);

  const [root = ''] = roots.values();
  const sbom = `${JSON.stringify(sbomOf({ ...about, debian: await packagesIn(root) }), null, 2)}\n`;
  await writeFile(file, sbom);
  await layout.attach(index, { artifactType: SPDX, bytes: Buffer.from(sbom) });
  const statement = Buffer.from(
    JSON.stringify(provenance([{ name: 'terrace', sha256: index.digest.slice(7) }])),
  );
  await layout.attach(
    index,
    signer
      ? {
          artifactType: STATEMENT,
          mediaType: DSSE,
          bytes: Buffer.from(JSON.stringify(envelopeOf(signer, STATEMENT, statement))),
        }
      : { artifactType: STATEMENT, bytes: statement },
  );
  if (signer) await sign(layout, index, signer);
  await layout.pack(join(target, `${name}-image.tar`));
}

/** As cosign stores a signature: under a tag made of the digest. */
async function sign(layout: OciLayout, index: Descriptor, signer: KeyObject): Promise<void> {
  const claim = imageClaim(index.digest);
  const layer = await layout.add(SIMPLE_SIGNING, claim);
  const signature = signatureOf(signer, claim).toString('base64');
  const config = await layout.addJson('application/vnd.oci.image.config.v1+json', {
    architecture: '',
    os: '',
    config: {},
    rootfs: { type: 'layers', diff_ids: [layer.digest] },
  });
  const manifest = await layout.addJson(MANIFEST, {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config,
    layers: [{ ...layer, annotations: { 'dev.cosignproject.cosign/signature': signature } }],
  });
  await layout.list(manifest, `${index.digest.replace(':', '-')}.sig`);
}
