import type { LayerStatus } from '#proto/overview/layer-status.ts';
import type { ExchangeStatus } from '#proto/status/archive-exchange.ts';
import { formatBytes, formatDuration, plural } from '../terminal/figures.ts';

/** The layers with which archives are exchanged, one section each. Pure. */
export function exchangeText({ storage }: LayerStatus, now: number): string {
  return (storage?.exchanges ?? []).map((exchange) => sectionOf(exchange, now)).join('\n');
}

function sectionOf({ peer, isParent, inbox, outbox }: ExchangeStatus, now: number): string {
  const title = isParent ? `Parent ${peer ?? 'by archives'}` : `Layer ${peer} below`;
  return [
    `${title}${peer === undefined ? '' : ', by archives'}`,
    ...(inbox ? inboxLines(inbox, now) : []),
    ...(outbox ? outboxLines(outbox, now) : []),
  ].join('\n');
}

const ago = (instant: number, now: number) => `${formatDuration(Math.max(0, now - instant))} ago`;

function inboxLines({ folder, last }: NonNullable<ExchangeStatus['inbox']>, now: number): string[] {
  const received = last
    ? `set ${last.number} imported ${ago(last.at, now)}, ${formatBytes(last.bytes)}, ${plural(last.changed, 'tag')} changed`
    : 'nothing imported yet';
  return [`  from ${folder}: ${received}`];
}

function outboxLines(
  { folder, last, acknowledged }: NonNullable<ExchangeStatus['outbox']>,
  now: number,
): string[] {
  const acked = acknowledged ? `, set ${acknowledged} acknowledged` : ', none acknowledged';
  const sent = last
    ? `set ${last.number} written ${ago(last.at, now)}, ${formatBytes(last.bytes)}${acked}`
    : 'nothing written yet';
  return [`  to ${folder}: ${sent}`];
}
