import { stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { HEALTH } from '../volume/layout.ts';

/**
 * Folder through which the processes of a layer report their health. Each service listens on a loopback port, writes
 * the port to the file `<service>-<pid>` of this folder, and answers each connection with one line. Only processes of
 * one machine, or of one container, share a folder. cli/health reads the same files.
 */
export const healthFolder = (data: string): string => join(data, HEALTH, hostname());

/**
 * The answer of a healthy service, which identifies the data folder by device and inode: files in a copy of the folder
 * name ports of the services of the original. cli/health compares the line as a whole: a bare `ok` would be the answer
 * of any other program that listens on a port of a copied or old file.
 */
export async function healthyAnswer(data: string): Promise<string> {
  const { dev, ino } = await stat(data);
  return `well ${dev}:${ino}`;
}
