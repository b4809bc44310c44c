import { stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

/**
 * Folder through which the processes of a layer report their health. Each service listens on a loopback port, writes
 * the port to the file `<service>-<pid>` of this folder, and answers each connection with one line. Only processes of
 * one machine, or of one container, share a folder. cli/health reads the same files.
 */
export const healthFolder = (data: string): string => join(data, 'run', 'health', hostname());

/**
 * The answer of a healthy service, which identifies the data folder by device and inode: files in a copy of the folder
 * name ports of the services of the original.
 */
export async function healthyAnswer(data: string): Promise<string> {
  const { dev, ino } = await stat(data);
  return `well ${dev}:${ino}`;
}
