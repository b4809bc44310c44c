import { stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

/**
 * Where the processes of a layer answer how they are: each service listens on a port of loopback, which stands in the
 * file `<service>-<pid>` of this folder, and says one line to whoever connects. Only those of one machine, or of one
 * container, are in one folder. cli/health reads the same.
 */
export const healthFolder = (data: string): string => join(data, 'run', 'health', hostname());

/** What a service answers that is well. A copy of the data folder is another place: its files name ports of others. */
export async function wellWord(data: string): Promise<string> {
  const { dev, ino } = await stat(data);
  return `well ${dev}:${ino}`;
}
