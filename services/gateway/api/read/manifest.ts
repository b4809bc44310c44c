import { MAX_PARTS, MAX_REFERRERS, Manifest as ManifestAnswer } from '#proto/api/manifests.ts';
import { missingBlobs } from '#proto/content/blobs.ts';
import { listLeftOut, listReferrers, missingManifests } from '#proto/content/manifests.ts';
import type { Static } from '#proto/contract/schema.ts';
import { type Descriptor, jsonOf, type Manifest } from '#proto/oci/manifest.ts';
import { parseReferenceName } from '#proto/oci/names.ts';
import { readManifest } from '#proto/oci/read-manifest.ts';
import { readManifestBytes } from '../../content/open-content.ts';
import { repositoryOf, segment } from '../../http/parameters.ts';
import type { Gateway } from '../../routes/resource.ts';
import { type Operation, operation } from '../operation/operation.ts';
import { annotationsOf, contentOf, platformOf, referrerOf } from './manifest-parts.ts';

type Answer = Static<typeof ManifestAnswer>;

/** A manifest: its parts, which of them the layer has, and what refers to it. */
export function manifestOperation(gateway: Gateway): Operation {
  const { bus, volume, cache, times } = gateway;
  const patience = { patience: times.patienceMs };
  return operation({
    method: 'GET',
    path: '/repositories/:name/manifests/:reference',
    needs: 'operate/read',
    summary: 'A manifest, by tag or digest.',
    answers: { 200: ManifestAnswer },
    refusals: [404],
    handler: async ({ request }): Promise<Answer> => {
      const repository = repositoryOf(request);
      const reference = parseReferenceName(segment(request, 'reference'));
      const { place, bytes } = await readManifestBytes(volume, cache, repository, reference);
      const { digest, mediaType, size } = place;
      const content = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
      const manifest = readManifest(content, mediaType);
      const config = configOf(content);
      const all = [...manifest.blobs, ...manifest.foreign];
      const blobs = all.filter((blob) => blob.digest !== config);
      const layers = blobs.slice(0, MAX_PARTS);
      const platforms = manifest.manifests.slice(0, MAX_PARTS);
      const [missing, referrers, leftOut] = await Promise.all([
        missingOf(
          gateway,
          repository,
          [...(config ? [config] : []), ...digestsOf(layers)],
          digestsOf(platforms),
        ),
        bus.call(listReferrers, { repository, digest, limit: MAX_REFERRERS }, patience),
        manifest.manifests.length > 0
          ? bus.call(listLeftOut, { repository, limit: MAX_PARTS }, patience)
          : { leftOut: [] },
      ]);
      const omitted = blobs.length + manifest.manifests.length - layers.length - platforms.length;
      const configDescriptor = all.find((blob) => blob.digest === config);
      return {
        repository,
        digest,
        mediaType,
        size,
        ...(manifest.artifactType && { artifactType: manifest.artifactType }),
        ...(manifest.subject && { subject: manifest.subject.digest }),
        platforms: platforms.map((entry) => platformOf(entry, missing)),
        ...(configDescriptor && { config: contentOf(configDescriptor, missing) }),
        layers: layers.map((layer) => contentOf(layer, missing)),
        total: size + sumOf(manifest),
        referrers: referrers.descriptors.map(referrerOf),
        moreReferrers: referrers.more,
        annotations: annotationsOf(manifest.annotations),
        leftOut: leftOut.leftOut
          .filter(({ index }) => index === digest)
          .map(({ index: _index, ...entry }) => entry),
        ...(omitted > 0 && { omitted }),
      };
    },
  });
}

const digestsOf = (list: Descriptor[]): string[] => list.map(({ digest }) => digest);

const sumOf = ({ blobs }: Manifest): number => blobs.reduce((sum, { size }) => sum + size, 0);

/** Digest of the configuration of an image: its references do not say which of them that is. */
function configOf(content: Uint8Array): string | undefined {
  const { config } = jsonOf(content) as { config?: { digest?: unknown } };
  return typeof config?.digest === 'string' ? config.digest : undefined;
}

/** Which of these the layer lacks. */
async function missingOf(
  { bus, times }: Gateway,
  repository: string,
  blobs: string[],
  manifests: string[],
): Promise<Set<string>> {
  const patience = { patience: times.patienceMs };
  const [missing, absent] = await Promise.all([
    blobs.length > 0 ? bus.call(missingBlobs, { digests: blobs.slice(0, 1_000) }, patience) : { digests: [] },
    manifests.length > 0
      ? bus.call(missingManifests, { repository, digests: manifests }, patience)
      : { digests: [] },
  ]);
  return new Set([...missing.digests, ...absent.digests]);
}
