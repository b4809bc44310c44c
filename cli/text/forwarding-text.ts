import type { StorageStatus } from '#proto/status/storage-status.ts';
import { formatDuration, plural } from '../terminal/figures.ts';

const entries = (count: number) => plural(count, 'entry', 'entries');

/** The syslog receiver of the audit log, if one is configured. */
export function forwardingText({ forwarding }: StorageStatus, now: number): string[] {
  if (!forwarding) return [];
  const { receiver, tls, state, since, waiting, reason, next, lost } = forwarding;
  const until =
    next === undefined ? '' : `; next attempt ${next > now ? `in ${formatDuration(next - now)}` : 'now'}`;
  const states = {
    Connecting: 'connecting',
    Connected: `connected for ${formatDuration(now - since)}`,
    Away: `AWAY for ${formatDuration(now - since)}: ${reason}${until}`,
  };
  const pending = waiting === 0 ? '' : `; ${entries(waiting)} waiting`;
  return [
    `Audit to syslog ${receiver}${tls ? '' : ' without TLS'}: ${states[state]}${pending}`,
    ...(lost
      ? [
          `  LOST to it: ${entries(lost.count)}, the last ${formatDuration(now - lost.last)} ago, as the audit log overran while it was away`,
        ]
      : []),
  ];
}
