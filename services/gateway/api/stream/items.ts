import type { EventItem } from '#proto/api/events.ts';
import type { Envelope } from '#proto/contract/envelope.ts';

/** An event as the API shows it. */
export function itemOf(sequence: number, event: Envelope, child: string | undefined): EventItem {
  const { id, type, time, layer, data } = event;
  return {
    sequence,
    id,
    type: type.replace(/^terrace\./, ''),
    time,
    ...(layer !== undefined && { layer }),
    ...(child !== undefined && { child }),
    data,
  };
}
