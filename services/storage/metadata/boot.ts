import { readFile } from 'node:fs/promises';

/** The same until the machine starts again; where the system does not tell, never the same. */
export async function bootId(): Promise<string> {
  const text = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
  return text.trim() || `unknown-${Date.now()}`;
}
