import { Agent, get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';

/**
 * A thread that asks what open pages ask: each reader has a stream of events, and polls what the first view shows.
 * It sends a message when all streams are open, then each second how many bytes of events have come.
 */

/** `rate`: events a second that each reader asks for; absent: all. */
export type ReaderOptions = { url: string; readers: number; rate?: number };

const agent = new Agent({ keepAlive: true });
/** Requests of the first view, by their interval in ms: page/views/overview/. */
const polls: [path: string, everyMs: number][] = [
  ['/layer', 5_000],
  ['/transfers', 2_000],
  ['/throughput', 10_000],
  ['/passes?limit=5', 10_000],
  ['/link', 10_000],
  ['/layers', 10_000],
  ['/parked?limit=20', 15_000],
];

const { url, readers, rate } = workerData as ReaderOptions;
let bytes = 0;

function stream(): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  get(`${url}/api/v1/events/stream${rate ? `?rate=${rate}` : ''}`, (response) => {
    if (response.statusCode !== 200) reject(new Error(`a stream was refused: ${response.statusCode}`));
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    response.once('data', () => resolve());
  }).once('error', reject);
  return promise;
}

async function poll(path: string, everyMs: number): Promise<void> {
  await sleep(Math.random() * everyMs);
  for (;;) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    get(`${url}/api/v1${path}`, { agent }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`${path}: ${response.statusCode}`));
      response.resume().once('end', resolve).once('error', reject);
    }).once('error', reject);
    await promise;
    await sleep(everyMs);
  }
}

await Promise.all(Array.from({ length: readers }, stream));
parentPort?.postMessage(0);
setInterval(() => parentPort?.postMessage(bytes), 1_000);
await Promise.all(Array.from({ length: readers }, () => polls.map(([path, ms]) => poll(path, ms))).flat());
