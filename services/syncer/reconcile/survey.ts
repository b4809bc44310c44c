import type { Bus } from '#proto/bus.ts';
import { Fault } from '#proto/fault.ts';
import { listBases, listTags, type TagEntry } from '#proto/manifests.ts';
import type { Digest, Repository, Tag } from '#proto/names.ts';
import type { Parent } from '../link/parent.ts';
import { each } from '../transfer/slots.ts';
import { type Action, planTag, type Rules, type Views } from './plan.ts';

/** What is to be done in one repository, and what is in order already. */
export type Survey = {
  repository: Repository;
  tags: number;
  actions: { tag: Tag; views: Views; action: Action }[];
  /** What tags on which both sides agree point to: their referrers may have grown. */
  settled: Digest[];
};

/** Requests to the parent at a time. */
const AT_ONCE = 8;
const PAGE = 1_000;

/** Compares parent and layer, tag by tag. @throws Fault */
export async function survey(
  bus: Bus,
  parent: Pick<Parent, 'tags' | 'resolve'>,
  repository: Repository,
  rules: Rules,
  signal: AbortSignal,
): Promise<Survey> {
  // The layer first: what changes here meanwhile is caught by the condition on each change.
  const layer = await localTags(bus, repository, signal);
  const base = await entries(
    async (after) => bus.call(listBases, { repository, limit: PAGE, ...(after && { after }) }, { signal }),
    ({ tags }) => tags,
  );
  const above = new Map<Tag, Digest>();
  const names = await parent.tags(repository, signal);
  // A repository that the parent does not know at all may as well be an empty volume there: nothing goes for that.
  if (!names) return { repository, tags: layer.size, actions: [], settled: [] };
  const lost = new Set<Tag>();
  await each(names, AT_ONCE, async (tag) => {
    const digest = await parent.resolve(repository, tag, signal);
    if (digest) above.set(tag, digest);
    else lost.add(tag);
  });
  const all = [...new Set([...layer.keys(), ...base.keys(), ...above.keys()])].sort();
  const found: Survey = { repository, tags: all.length, actions: [], settled: [] };
  const settled = new Set<Digest>();
  for (const tag of all) {
    // Listed, yet not there: the next list tells whether it went, or somebody on the way lost its manifest.
    if (lost.has(tag)) continue;
    const views = { base: base.get(tag), layer: layer.get(tag), parent: above.get(tag) };
    const action = planTag(views, rules);
    if (action) found.actions.push({ tag, views, action });
    if (views.layer && views.layer === views.parent) settled.add(views.layer);
  }
  found.settled = [...settled];
  return found;
}

async function localTags(bus: Bus, repository: Repository, signal: AbortSignal): Promise<Map<Tag, Digest>> {
  try {
    return await entries(
      async (after) => bus.call(listTags, { repository, limit: PAGE, ...(after && { after }) }, { signal }),
      ({ tags }) => tags,
    );
  } catch (error) {
    if (Fault.is(error, 'name-unknown')) return new Map();
    throw error;
  }
}

/** All pages of a list. */
async function entries<P extends { more: boolean }>(
  page: (after: string | undefined) => Promise<P>,
  of: (page: P) => TagEntry[],
): Promise<Map<Tag, Digest>> {
  const all = new Map<Tag, Digest>();
  let after: string | undefined;
  for (;;) {
    const found = await page(after);
    for (const { tag, digest } of of(found)) all.set(tag, digest);
    after = of(found).at(-1)?.tag;
    if (!found.more || after === undefined) return all;
  }
}
