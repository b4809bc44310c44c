import { Manifest } from '#proto/api/manifests.ts';
import type { Static } from '#proto/contract/schema.ts';
import { parseReferenceName } from '#proto/oci/names.ts';
import { readManifestBytes } from '../../content/open-content.ts';
import { repositoryOf, segment } from '../../http/parameters.ts';
import type { Gateway } from '../../routes/resource.ts';
import { type Operation, operation } from '../operation/operation.ts';

/** Loaded by the first request: its modules need more than a gateway otherwise. */
const loadView = () => import('#proto/overview/content/manifest-view.ts');

/** A manifest: its parts, which of them the layer has, and what belongs to it. */
export function manifestOperation({ bus, volume, cache, times }: Gateway): Operation {
  const read = async (repository: string, reference: string) => {
    const { place, bytes } = await readManifestBytes(volume, cache, repository, reference);
    return { place, bytes: typeof bytes === 'string' ? Buffer.from(bytes) : bytes };
  };
  return operation({
    method: 'GET',
    path: '/repositories/:name/manifests/:reference',
    needs: 'operate/read',
    summary: 'A manifest, by tag or digest.',
    answers: { 200: Manifest },
    refusals: [404],
    handler: async ({ request }): Promise<Static<typeof Manifest>> => {
      const repository = repositoryOf(request);
      const reference = parseReferenceName(segment(request, 'reference'));
      const { manifestView } = await loadView();
      return manifestView({ bus, read, patience: times.patienceMs }, repository, reference);
    },
  });
}
