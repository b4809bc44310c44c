import { createHash } from 'node:crypto';
import type { DebianPackage } from '../image/base-root.ts';
import { CREATED } from '../image/oci-layout.ts';
import type { ProductionPackage } from '../program/production-packages.ts';

/** A list of contents (SPDX 2.3, "software bill of materials"): Terrace and all that it is delivered with. Pure. */

export type SbomOptions = {
  version: string;
  commit: string;
  packages: ProductionPackage[];
  /** Node, with its version. */
  node: ProductionPackage;
  /** Of the image. */
  debian: DebianPackage[];
};

type SpdxPackage = {
  SPDXID: string;
  name: string;
  versionInfo: string;
  downloadLocation: string;
  filesAnalyzed: false;
  licenseConcluded: string;
  licenseDeclared: string;
  copyrightText: string;
  externalRefs: { referenceCategory: string; referenceType: string; referenceLocator: string }[];
};

export function sbomOf({ version, commit, packages, node, debian }: SbomOptions): object {
  const root = packageOf('terrace', version, 'MIT', `pkg:generic/terrace@${version}?vcs_url=${commit}`);
  const npm = packages.map(({ name, version: of, license }) =>
    packageOf(name, of, license, `pkg:npm/${name.replace('@', '%40')}@${of}`),
  );
  const runtime = packageOf('node', node.version, node.license, `pkg:generic/node@${node.version}`);
  const system = debian.map(({ name, version: of }) =>
    packageOf(`debian/${name}`, of, undefined, `pkg:deb/debian/${name}@${encodeURIComponent(of)}`),
  );
  const parts = unique([runtime, ...npm, ...system]);
  const hash = createHash('sha256')
    .update(JSON.stringify([version, commit, parts]))
    .digest('hex');
  return {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: `terrace-${version}`,
    documentNamespace: `https://spdx.org/spdxdocs/terrace-${version}-${hash.slice(0, 32)}`,
    creationInfo: { created: CREATED.replace('.000Z', 'Z'), creators: ['Tool: terrace-release'] },
    documentDescribes: [root.SPDXID],
    packages: [root, ...parts],
    relationships: [
      relationship('SPDXRef-DOCUMENT', 'DESCRIBES', root.SPDXID),
      ...parts.map(({ SPDXID }) => relationship(root.SPDXID, 'CONTAINS', SPDXID)),
    ],
  };
}

const relationship = (from: string, type: string, to: string) => ({
  spdxElementId: from,
  relationshipType: type,
  relatedSpdxElement: to,
});

function packageOf(name: string, version: string, license = 'NOASSERTION', purl: string): SpdxPackage {
  const declared = /^[\w.+-]+( (AND|OR|WITH) [\w.+-]+)*$/.test(license.replace(/[()]/g, ''))
    ? license
    : 'NOASSERTION';
  return {
    SPDXID: `SPDXRef-${`${name}-${version}`.replace(/[^\w.-]/g, '-')}`,
    name,
    versionInfo: version,
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    licenseConcluded: 'NOASSERTION',
    licenseDeclared: declared === 'UNKNOWN' ? 'NOASSERTION' : declared,
    copyrightText: 'NOASSERTION',
    externalRefs: [{ referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: purl }],
  };
}

/** One package may be in several folders. */
function unique(packages: SpdxPackage[]): SpdxPackage[] {
  return [...new Map(packages.map((each) => [each.SPDXID, each])).values()];
}
