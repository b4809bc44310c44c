import type { FastifyInstance } from 'fastify';
import { LEFT_OUT_ANNOTATION } from '#proto/content/left-out-referrers.ts';
import { listReferrers } from '#proto/content/manifests.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { nextLink } from '../http/locations.ts';
import { digestParameter, parameter, repositoryOf } from '../http/parameters.ts';
import { type Gateway, type RouteHandler, registerResource } from './resource.ts';

/** Descriptors per page: with long annotations, they must not make a response that clients refuse (4 MiB). */
const PAGE = 200;

export function registerReferrerRoutes(app: FastifyInstance, gateway: Gateway): void {
  // distribution-spec 1.1, "Listing Referrers"
  const referrers: RouteHandler = async (request, reply) => {
    const repository = repositoryOf(request);
    const digest = digestParameter(request);
    const artifactType = parameter(request, 'artifactType');
    const after = parameter(request, 'last');
    const { descriptors, more, leftOut } = await gateway.bus.call(
      listReferrers,
      { repository, digest, limit: PAGE, ...(artifactType && { artifactType }), ...(after && { after }) },
      { patience: gateway.times.patienceMs },
    );
    if (artifactType) reply.header('oci-filters-applied', 'artifactType');
    const last = descriptors.at(-1)?.digest;
    if (more && last) {
      const query = { ...(artifactType && { artifactType }), last };
      reply.header('link', nextLink(`/v2/${repository}/referrers/${digest}`, query));
    }
    // With any filter: the types of what is left out may be unknown.
    const annotations = leftOut && { annotations: { [LEFT_OUT_ANNOTATION]: JSON.stringify(leftOut) } };
    const index = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: descriptors,
      ...annotations,
    };
    // As bytes: Fastify would add a charset to the type of a string, and clients compare the full type.
    return reply.header('content-type', mediaTypes.ociIndex).send(Buffer.from(JSON.stringify(index)));
  };

  const endpoint = {
    needs: 'content/read',
    handler: referrers,
    spec: 'end-12a, end-12b',
    answer: `200: an index of the referrers, ${PAGE} a page; \`artifactType\` filters. The annotation \`${LEFT_OUT_ANNOTATION}\` says which ones the layer could not get from its parent`,
  } as const;
  registerResource(app, gateway, '/v2/:name/referrers/:digest', {
    GET: endpoint,
    HEAD: endpoint,
  });
}
