import { mediaTypes } from '../oci/manifest.ts';
import { canonicalJson } from './canonical-json.ts';
import type { ListedRepository, RootManifest } from './list.ts';

/** Files of an OCI image layout (image-spec 1.1, "OCI Image Layout Specification"). */

export const OCI_LAYOUT = 'oci-layout';
export const OCI_LAYOUT_TEXT = '{"imageLayoutVersion":"1.0.0"}';
export const OCI_INDEX = 'index.json';

const REF_NAME = 'org.opencontainers.image.ref.name';

/** A manifest of an index, and the names that it has there. */
export type NamedManifest = RootManifest & { names: string[] };

/** The manifests of the repositories with their names, `<repository>:<tag>`; referrers have none. */
export function namedManifests(
  repositories: readonly ListedRepository[],
  manifests: ReadonlyMap<string, RootManifest>,
): Map<string, NamedManifest> {
  const named = new Map<string, NamedManifest>();
  const nameOf = (digest: string) => {
    const known = named.get(digest);
    if (known) return known;
    const root = manifests.get(digest);
    const added = root && { ...root, names: [] };
    if (added) named.set(digest, added);
    return added;
  };
  for (const { name, tags, referrers } of repositories) {
    for (const { tag, digest } of tags) if (digest !== null) nameOf(digest)?.names.push(`${name}:${tag}`);
    for (const digest of referrers) nameOf(digest);
  }
  return named;
}

/** `index.json`: a descriptor for each name, in the order of names; those without one at the end. */
export function ociIndex(manifests: Iterable<NamedManifest>): string {
  const named: [string, object][] = [];
  const unnamed: [string, object][] = [];
  for (const { names, digest, mediaType, size, artifactType } of manifests) {
    const descriptor = { mediaType, digest, size, ...(artifactType !== undefined && { artifactType }) };
    for (const name of names) named.push([name, { ...descriptor, annotations: { [REF_NAME]: name } }]);
    if (names.length === 0) unnamed.push([digest, descriptor]);
  }
  const inOrder = (list: [string, object][]) =>
    list.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, descriptor]) => descriptor);
  const all = inOrder(named).concat(inOrder(unnamed));
  return canonicalJson({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: all });
}

/** Upper bound of the bytes that a manifest adds to an index. */
export function indexBytes({ names, mediaType, artifactType = '' }: NamedManifest): number {
  const each = 300 + JSON.stringify(mediaType).length + JSON.stringify(artifactType).length;
  return names.reduce((sum, name) => sum + each + name.length, names.length === 0 ? each : 0);
}
