import { type Gap, historyLost, type Past } from '#proto/bus/history.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import { selects } from '#proto/document/notification-patterns.ts';
import { artifactOf, type Receiver } from '#proto/document/notifications.ts';

/** What a receiver is told of an event. Pure. */

/** `id`: the same each time that it is told. */
export type Notice = { id: string; body: string };

const LOST = `terrace.${historyLost.type}`;

/**
 * CloudEvents 1.0, "JSON Event Format", structured mode: the event as it is in the stream, with `subject`, such as
 * `app/web:1` or `app/web@sha256:…`. Undefined where the receiver is not told of it.
 */
export function noticeOf({ event, child }: Exclude<Past, { gap: Gap }>, to: Receiver): Notice | undefined {
  if (child !== undefined && !to.below) return undefined;
  const artifact = artifactOf(event);
  if (artifact ? !selects(to.match, artifact) : !isLoss(event, to)) return undefined;
  const subject = artifact && nameOf(artifact);
  const { origin: _origin, data, ...attributes } = event;
  return written({ ...attributes, ...(subject && { subject }), data });
}

/** Some events are missing behind what the receiver was told: nobody can tell what they were. */
export function lossOf(gap: Gap, made: string, layer: string): Notice {
  return written({
    specversion: '1.0',
    id: `gap-${made.replace(/\W+/g, '')}-${gap.from}-${gap.to ?? ''}`,
    source: `/layers/${layer}`,
    type: LOST,
    time: new Date().toISOString(),
    layer,
    data: gap,
  });
}

/** Those that were only not told to the parent are in the stream all the same. */
function isLoss({ type, data }: Envelope, to: Receiver): boolean {
  if (type !== LOST) return false;
  const { reason, child } = (data ?? {}) as Partial<Gap>;
  return reason === 'lost' || (reason === 'trimmed' && (child === undefined || to.below));
}

const nameOf = ({ name, tag, digest }: { name: string; tag?: string | undefined; digest: string }) =>
  tag === undefined ? `${name}@${digest}` : `${name}:${tag}`;

function written(event: Envelope & { subject?: string }): Notice {
  const { data, ...attributes } = event;
  const body = JSON.stringify({ ...attributes, datacontenttype: 'application/json', data });
  return { id: event.id, body };
}
