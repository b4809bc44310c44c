import type { LayerReport } from '#proto/status/layers-below.ts';
import { PAUSED, WINDOW_CLOSED } from '#proto/status/status.ts';
import { type Family, flag, gauge, type Sample, seconds } from './family.ts';
import type { Figures } from './figures.ts';

/** The layers below, webhooks, and the events that the parent refuses. */

/** Max values of the label `child`: children in the order of their names. A layer without accounts accepts any name. */
const MAX_CHILDREN = 256;
/** A configuration has 16 webhooks at most. */
const MAX_WEBHOOKS = 32;

type Child = { name: string; seen: number; layers: LayerReport[] };

function childrenOf({ status: { below = [] } }: Figures): Child[] {
  const byChild = Map.groupBy(below, ({ child }) => child);
  return [...byChild]
    .map(([name, layers]) => ({ name, seen: layers[0]?.seen ?? 0, layers }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

const ofEachChild =
  (read: (child: Child) => number | undefined) =>
  (figures: Figures): Sample[] =>
    childrenOf(figures)
      .slice(0, MAX_CHILDREN)
      .flatMap((child) => {
        const value = read(child);
        return value === undefined ? [] : [{ labels: { child: child.name }, value }];
      });

const ownOf = ({ layers }: Child) => layers.find(({ path }) => path.length === 0);
/** A link that is not used now is not cut. */
const isDown = ({ link }: LayerReport) =>
  link?.state === 'Offline' && link.code !== PAUSED && link.code !== WINDOW_CLOSED;

type Webhook = NonNullable<Figures['status']['webhooks']>[number] & { label: string };

/** Several webhooks may have one name: the later ones get a number. */
function webhooksOf({ status: { webhooks = [] } }: Figures): Webhook[] {
  const counts = new Map<string, number>();
  return webhooks.slice(0, MAX_WEBHOOKS).map((webhook) => {
    const count = (counts.get(webhook.name) ?? 0) + 1;
    counts.set(webhook.name, count);
    return { ...webhook, label: count === 1 ? webhook.name : `${webhook.name} (${count})` };
  });
}

const ofEachWebhook =
  (read: (webhook: Webhook) => number | undefined) =>
  (figures: Figures): Sample[] =>
    webhooksOf(figures).flatMap((webhook) => {
      const value = read(webhook);
      return value === undefined ? [] : [{ labels: { webhook: webhook.label }, value }];
    });

export const receiverFamilies: Family[] = [
  gauge(
    'children',
    'Children that reported themselves. Those after the first 256 in the order of names have no metrics of their own.',
    (figures) => childrenOf(figures).length,
  ),
  gauge(
    'child_last_seen_timestamp_seconds',
    'When the child last reported, or renewed the request that it keeps open here, in seconds since 1970.',
    ofEachChild(({ seen }) => seconds(seen)),
    'child',
  ),
  gauge(
    'child_link_up',
    '0 if the link of the child to this layer is down, as it reported, or as its presence shows; 1 if it is up, is paused, or waits for its window.',
    ofEachChild((child) => {
      const link = ownOf(child)?.link;
      return link && flag(!isDown({ link } as LayerReport));
    }),
    'child',
  ),
  gauge(
    'child_layers',
    'Layers that the child reports: itself, and those below it.',
    ofEachChild(({ layers }) => layers.length),
    'child',
  ),
  gauge(
    'child_layers_down',
    'Those of these layers whose link is down.',
    ofEachChild(({ layers }) => layers.filter(isDown).length),
    'child',
  ),
  gauge(
    'child_behind_tags',
    'Tags that the child lacks of this layer, as it reported.',
    ofEachChild((child) => ownOf(child)?.sync?.behind.tags),
    'child',
  ),
  gauge(
    'child_events_waiting',
    'Events of the child, and of the layers below it, that were not here yet when it last reported.',
    ofEachChild((child) => ownOf(child)?.waiting),
    'child',
  ),
  gauge(
    'events_refused',
    'Events that the parent refuses for good, until a day after the last refusal.',
    ({ status: { history } }) => history?.count,
  ),
  gauge(
    'webhook_up',
    '1 if the webhook took the last event, or had none yet; 0 if it fails, or is parked.',
    ofEachWebhook(({ state }) => flag(state === 'Online' || state === 'Untried')),
    'webhook',
  ),
  gauge(
    'webhook_backlog_events',
    'Events that wait for the webhook, counted up to a limit.',
    ofEachWebhook(({ behind }) => behind),
    'webhook',
  ),
  gauge(
    'webhook_failed_attempts',
    'Attempts in a row that failed to deliver the first of these events.',
    ofEachWebhook(({ failure }) => failure?.attempts ?? 0),
    'webhook',
  ),
  gauge(
    'webhook_last_accepted_timestamp_seconds',
    'When the webhook last took an event, in seconds since 1970.',
    ofEachWebhook(({ acceptedAt }) => seconds(acceptedAt)),
    'webhook',
  ),
];
