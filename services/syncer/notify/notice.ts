import { type Gap, historyLost, type Past } from '#proto/bus/history.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import { artifactOf, selects } from '#proto/document/notification-patterns.ts';
import type { Receiver } from '#proto/document/notifications.ts';

/** Notices: events in the form in which a webhook receives them. Pure. */

/** `id` is the same in every attempt to deliver it. */
export type WebhookNotice = { id: string; body: string };

const LOST = `terrace.${historyLost.type}`;

/**
 * CloudEvents 1.0, "JSON Event Format", structured mode: the event as it is in the stream, with `subject`, such as
 * `app/web:1` or `app/web@sha256:…`. Undefined if the receiver does not select it.
 */
export function noticeOf(
  { event, child }: Exclude<Past, { gap: Gap }>,
  to: Receiver,
): WebhookNotice | undefined {
  if (child !== undefined && !to.below) return undefined;
  const artifact = artifactOf(event);
  if (artifact ? !selects(to.match, artifact) : !isLoss(event, to)) return undefined;
  const subject = artifact && nameOf(artifact);
  const { origin: _origin, data, ...attributes } = event;
  return toNotice({ ...attributes, ...(subject && { subject }), data });
}

/** Notice that events after the last delivered one are missing. Their content is unknown. */
export function lossOf(gap: Gap, created: string, layer: string): WebhookNotice {
  return toNotice({
    specversion: '1.0',
    id: `gap-${created.replace(/\W+/g, '')}-${gap.from}-${gap.to ?? ''}`,
    source: `/layers/${layer}`,
    type: LOST,
    time: new Date().toISOString(),
    layer,
    data: gap,
  });
}

/** Any other reason is about reports to the parent: a receiver gets a notice of its own for the gaps in its stream. */
function isLoss({ type, data }: Envelope, to: Receiver): boolean {
  if (type !== LOST) return false;
  const { reason, child } = (data ?? {}) as Partial<Gap>;
  return reason === 'lost' || (reason === 'trimmed' && (child === undefined || to.below));
}

const nameOf = ({ name, tag, digest }: { name: string; tag?: string | undefined; digest: string }) =>
  tag === undefined ? `${name}@${digest}` : `${name}:${tag}`;

function toNotice(event: Envelope & { subject?: string }): WebhookNotice {
  const { data, ...attributes } = event;
  const body = JSON.stringify({ ...attributes, datacontenttype: 'application/json', data });
  return { id: event.id, body };
}
