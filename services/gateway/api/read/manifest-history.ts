import { MAX_HISTORY, ManifestHistory } from '#proto/api/manifests.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import type { Static } from '#proto/contract/schema.ts';
import { isDigest, parseReferenceName } from '#proto/oci/names.ts';
import { recentEvents } from '#proto/overview/recent-events.ts';
import { repositoryOf, segment } from '../../http/parameters.ts';
import type { Gateway } from '../../routes/resource.ts';
import { type Operation, operation } from '../operation/operation.ts';

type Item = Static<typeof ManifestHistory>['items'][number];

/** Max events of one subject in an answer. */
const MAX_EVENTS = 50;

/**
 * Subjects that have events of a manifest, and how many pages of each are read at most: a pass has an event for each
 * image.
 */
const subjects: [subject: string, maxPages: number][] = [
  ['events.manifest.>', 12],
  ['events.tag.>', 12],
  ['events.image.>', 2],
];

type Data = {
  repository?: string;
  digest?: string;
  from?: string;
  tag?: string | null;
  arrived?: boolean;
  account?: string;
};

/** Where a manifest came from. Apart from the manifest: many events may have to be read for it. */
export function manifestHistoryOperation({ bus, cache }: Gateway): Operation {
  return operation({
    method: 'GET',
    path: '/repositories/:name/manifests/:reference/history',
    needs: 'operate/read',
    summary: 'Events of a manifest, by tag or digest, also of a digest that is not here any more.',
    answers: { 200: ManifestHistory },
    refusals: [404],
    handler: async ({ request }) => {
      const repository = repositoryOf(request);
      const reference = parseReferenceName(segment(request, 'reference'));
      const digest = isDigest(reference) ? reference : (await cache.manifest(repository, reference)).digest;
      const fits = ({ data }: Envelope) => {
        const fields = (data ?? {}) as Data;
        return fields.repository === repository && (fields.digest === digest || fields.from === digest);
      };
      const found: Awaited<ReturnType<typeof recentEvents>>[] = [];
      for (const [subject, maxPages] of subjects) {
        const query = { subject, limit: MAX_EVENTS, fits, maxPages };
        found.push(await recentEvents(bus, query));
      }
      const events = found.flatMap((one) => one.events).sort((a, b) => b.sequence - a.sequence);
      const { heldBelow } = await import('#proto/overview/content/held-below.ts');
      const below = await heldBelow(bus, repository, digest);
      return {
        ...(below.length > 0 && { below }),
        items: events.slice(0, MAX_HISTORY).map(({ time, event }) => itemOf(time, event)),
        complete: found.every(({ complete }) => complete),
      };
    },
  });
}

function itemOf(at: number, { type, data }: Envelope): Item {
  const { account, tag, arrived } = data as Data;
  const isOfClients = /^terrace\.(?:manifest|tag)\./.test(type);
  return {
    at,
    type: type.replace(/^terrace\./, ''),
    ...(account !== undefined && { account }),
    ...(typeof tag === 'string' && { tag }),
    ...(isOfClients && { from: arrived ? 'parent' : 'client' }),
  };
}
