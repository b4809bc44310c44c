import type { HistoryReader } from '#proto/bus/roles.ts';
import { tagDeleted, tagMoved } from '#proto/content/content-events.ts';
import { MAX_RESTORED_CHANGES, type ReportedChange, type ReportedChanges } from '#proto/content/restored.ts';
import { type Envelope, readEvent } from '#proto/contract/envelope.ts';
import { matches } from '#proto/contract/schema-check.ts';

/** `since` and `until` in ms since 1970, by the clock of the child; `after`: a sequence of the stream here, or 0. */
export type ReportedQuery = { since: number; until: number; layer: string; after: number };

/** Changes of tags that a child has reported of its own layer, as far as the history here has them. */
export async function reportedChanges(
  { archive }: HistoryReader,
  child: string,
  { since, until, layer, after }: ReportedQuery,
): Promise<ReportedChanges> {
  // From the first one: the stream knows when events came, by another clock than that of the child.
  const page = await archive.read({
    from: { sequence: after + 1 },
    subject: `below.${child}.tag.*`,
    limit: MAX_RESTORED_CHANGES,
    waitMs: 0,
  });
  const own = layer === child ? child : `${child}/${layer}`;
  const changes = page.flatMap(({ data }) => {
    const event = readEvent(data);
    const at = event && Date.parse(event.time);
    const isOwn = event?.layer === own && at !== undefined && at >= since && at < until;
    return (isOwn && changeOf(event)) || [];
  });
  const bounds = await archive.bounds();
  const oldest = await archive.read({
    from: { sequence: bounds.first },
    subject: undefined,
    limit: 1,
    waitMs: 0,
  });
  const first = oldest[0] && readEvent(oldest[0].data);
  return {
    changes,
    next: page.at(-1)?.sequence ?? after,
    more: page.length === MAX_RESTORED_CHANGES,
    complete: first !== undefined && Date.parse(first.time) <= since,
  };
}

function changeOf({ type, data }: Envelope): ReportedChange | undefined {
  if (type === `terrace.${tagMoved.type}` && matches(tagMoved.data, data)) {
    const { repository, tag, digest } = data;
    return { repository, tag, digest };
  }
  if (type === `terrace.${tagDeleted.type}` && matches(tagDeleted.data, data)) {
    const { repository, tag } = data;
    return { repository, tag, digest: null };
  }
  return undefined;
}
