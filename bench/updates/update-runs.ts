import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Order } from './one-update.ts';
import type { Measured } from './peers/peer.ts';

const PROGRAM = join(import.meta.dirname, 'one-update.ts');
/** Max length of the output in a message, in characters. */
const MAX_SHOWN = 2_000;

const running = new Set<number>();
process.once('exit', () => running.forEach(endGroup));
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.once(signal, () => process.exit(code));

/**
 * Brings one update over a link in a process of its own, with a folder that is deleted at its end.
 * @throws Error if it fails, or takes longer than `maxMs`
 */
export async function runUpdate(order: Omit<Order, 'place'>, maxMs: number): Promise<Measured> {
  const place = await mkdtemp(join(order.folder, 'update-'));
  try {
    return await measure({ ...order, place }, maxMs);
  } finally {
    // What a killed process left may still be in use, or mounted.
    await rm(place, { recursive: true, force: true, maxRetries: 10 }).catch((error: Error) =>
      console.error(`${place} remains: ${error.message}`),
    );
  }
}

async function measure(order: Order, maxMs: number): Promise<Measured> {
  // A group of its own, so that all that it starts can be ended with it.
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(order)], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const pid = child.pid as number;
  running.add(pid);
  let isLate = false;
  const timeout = setTimeout(() => {
    isLate = true;
    endGroup(pid);
  }, maxMs);
  try {
    const outputs = Promise.all([text(child.stdout), text(child.stderr)]);
    const [code] = (await once(child, 'exit')) as [number | null];
    // A process that outlives its parent would keep the pipes open.
    endGroup(pid);
    const [output, errors] = await outputs;
    if (isLate) throw new Error(`it did not end within ${maxMs / 60_000} min`);
    if (code !== 0) throw new Error(errors.slice(-MAX_SHOWN) || `it ended with code ${code}`);
    return JSON.parse(output.trim().split('\n').at(-1) ?? '') as Measured;
  } finally {
    clearTimeout(timeout);
    running.delete(pid);
  }
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // All of it has ended.
  }
}
