import type { RepositoryItem, TagItem } from '#proto/api/repositories.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import { imageFacts } from '#proto/overview/content/image-facts.ts';
import { repositoryPage } from '#proto/overview/content/repository-pages.ts';
import {
  type Comparison,
  comparisonOf,
  repositoryItem,
  tagItem,
} from '#proto/overview/content/sync-items.ts';
import { layerStatus } from '#proto/overview/layer-status.ts';
import { syncRepositories, syncTags } from '#proto/sync/behind.ts';

/** Lists of content, page by page: what the operators' API answers, from the same requests. */

/** Entries per page: few enough that the first ones are shown at once. */
const REPOSITORIES = 50;
const TAGS = 100;
/** Without sizes, pages cost little. */
const PLAIN_REPOSITORIES = 200;

/** `signal`: no further page is read after it has aborted. */
export type ListOptions = { signal: AbortSignal };

/** How the layer compares itself with its parent now, for all entries of one list. */
export async function readComparison(bus: Bus): Promise<Comparison> {
  return comparisonOf(await layerStatus(bus, { withoutParked: true }));
}

/**
 * Repositories whose names begin with `prefix`, in bytewise order.
 * @param contents with their sizes, and when a tag last moved
 */
export async function* repositoryPages(
  bus: Bus,
  prefix: string,
  comparison: Comparison,
  { signal, contents = true }: ListOptions & { contents?: boolean },
): AsyncGenerator<RepositoryItem[]> {
  const limit = contents ? REPOSITORIES : PLAIN_REPOSITORIES;
  for (let after: string | undefined; ; ) {
    const search = { after, contents, ...(prefix && { match: prefix }) };
    const { found, next } = await repositoryPage(bus, search, limit);
    const items = found.filter(({ repository }) => repository.startsWith(prefix));
    if (items.length > 0) yield items.map((one) => repositoryItem(one, comparison));
    const isPast = next !== undefined && next > prefix && !next.startsWith(prefix);
    if (next === undefined || isPast || signal.aborted) return;
    after = next;
  }
}

/**
 * Tags of a repository, in bytewise order, each with the facts of its image.
 * @param attached with the signatures, SBOMs and attestations of the images
 * @throws Fault `name-unknown`
 */
export async function* tagPages(
  bus: Bus,
  repository: string,
  comparison: Comparison,
  { signal, attached = false }: ListOptions & { attached?: boolean },
): AsyncGenerator<TagItem[]> {
  let isFirst = true;
  for (let after: string | undefined; ; ) {
    const query = { repository, limit: TAGS, ...(after !== undefined && { after }) };
    const { tags, covered, uncompared, more } = await bus.call(syncTags, query);
    if (isFirst && tags.length === 0) await mustBeKnown(bus, repository);
    isFirst = false;
    const known = comparison.known && !uncompared;
    const items = tags.map((tag) => tagItem(tag, covered, { ...comparison, known }));
    const digests = items.flatMap(({ digest }) => digest ?? []);
    const facts = await imageFacts(bus, repository, digests, { attached });
    if (items.length > 0) {
      yield items.map((item) => {
        const image = item.digest === undefined ? undefined : facts.get(item.digest);
        return { ...item, ...(image && { image }) };
      });
    }
    after = items.at(-1)?.tag;
    if (!more || after === undefined || signal.aborted) return;
  }
}

/** @throws Fault `name-unknown` */
async function mustBeKnown(bus: Bus, repository: string): Promise<void> {
  const { repositories } = await bus.call(syncRepositories, { repository, limit: 1 });
  if (repositories.length > 0) return;
  throw new Fault(
    'name-unknown',
    `repository ${repository} is not known here: terrace repositories lists those that are`,
  );
}
