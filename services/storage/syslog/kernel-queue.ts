import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';

/** Max size of the table of connections that is read, in bytes: about 25,000 connections. */
const MAX_TABLE_BYTES = 4 * 1024 * 1024;
/** Columns of the table (Linux, Documentation/networking/proc_net_tcp.rst). */
const LOCAL = 1;
const REMOTE = 2;
const QUEUES = 4;

/**
 * Bytes of a connection that the kernel holds and that the kernel of the other side has not acknowledged. Syslog itself
 * acknowledges nothing, and a connection without a path fails only after a quarter of an hour.
 * @returns undefined if it is not known: not on Linux, or the connection is closed
 */
export async function unacknowledged({
  localPort,
  remotePort,
  remoteFamily,
}: Socket): Promise<number | undefined> {
  if (localPort === undefined || remotePort === undefined) return undefined;
  const table = `/proc/self/net/${remoteFamily === 'IPv6' ? 'tcp6' : 'tcp'}`;
  const text = await readFile(table, { encoding: 'latin1' }).catch(() => '');
  return text.length > MAX_TABLE_BYTES ? undefined : queueIn(text, localPort, remotePort);
}

/** The largest one if several connections have these ports. Pure. */
export function queueIn(table: string, localPort: number, remotePort: number): number | undefined {
  const [local, remote] = [localPort, remotePort].map(
    (port) => `:${port.toString(16).toUpperCase().padStart(4, '0')}`,
  ) as [string, string];
  let queue: number | undefined;
  for (const line of table.split('\n')) {
    if (!line.includes(local) || !line.includes(remote)) continue;
    const columns = line.trim().split(/\s+/);
    if (!columns[LOCAL]?.endsWith(local) || !columns[REMOTE]?.endsWith(remote)) continue;
    const bytes = Number.parseInt(columns[QUEUES] ?? '', 16);
    if (!Number.isNaN(bytes)) queue = Math.max(queue ?? 0, bytes);
  }
  return queue;
}
