import type { LayerStatus } from '#proto/overview/layer-status.ts';
import type { WebhookStatus } from '#proto/status/webhooks.ts';
import { formatDuration, plural } from '../terminal/figures.ts';
import { table } from '../terminal/table.ts';

/** Delivery to each webhook, as a table. */
export function webhookText({ webhooks = [] }: LayerStatus, now: number, width?: number): string {
  if (webhooks.length === 0) return '';
  const rows = webhooks.map((one) => [
    one.name,
    one.state,
    one.acceptedAt === undefined ? 'never' : `${formatDuration(now - one.acceptedAt)} ago`,
    one.behind === 0 && !one.more ? 'nothing' : `${plural(one.behind, 'event')}${one.more ? ' or more' : ''}`,
    failure(one, now),
  ]);
  return table([['WEBHOOK', 'STATE', 'LAST DELIVERY', 'WAITING', ''], ...rows], width);
}

function failure({ failure: last }: WebhookStatus, now: number): string {
  if (!last) return '';
  const { reason, attempts, next } = last;
  return `${reason}; ${plural(attempts, 'attempt')}, next ${next > now ? `in ${formatDuration(next - now)}` : 'now'}`;
}
