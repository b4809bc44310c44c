import type { WebhookStatus } from '#proto/status/webhooks.ts';
import type { LayerStatus } from '../connection/layer-status.ts';
import { duration, plural, table } from '../terminal/figures.ts';

/** How far each webhook has been told, in words. */
export function webhookText({ webhooks = [] }: LayerStatus, now: number): string {
  if (webhooks.length === 0) return '';
  const rows = webhooks.map((one) => [
    one.name,
    one.state,
    one.told === undefined ? 'never' : `${duration(now - one.told)} ago`,
    one.behind === 0 && !one.more ? 'nothing' : `${plural(one.behind, 'event')}${one.more ? ' or more' : ''}`,
    failure(one, now),
  ]);
  return table([['WEBHOOK', 'STATE', 'LAST TOLD', 'WAITING', ''], ...rows]);
}

function failure({ failure: found }: WebhookStatus, now: number): string {
  if (!found) return '';
  const { reason, attempts, next } = found;
  return `${reason}; ${plural(attempts, 'attempt')}, next ${next > now ? `in ${duration(next - now)}` : 'now'}`;
}
