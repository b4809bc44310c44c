import { readFile } from 'node:fs/promises';

/** Constant until the machine reboots. If the system does not provide an id, each call returns another one. */
export async function bootIdOrRandom(): Promise<string> {
  const text = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
  return text.trim() || `unknown-${Date.now()}`;
}
