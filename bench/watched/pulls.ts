import { Agent, get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { mediaTypes } from '#proto/oci/manifest.ts';

/**
 * A thread that pulls an image at a fixed rate: its manifest by tag, then its blob, on kept connections. The time of a
 * pull counts from when it is due, so that a slow answer also delays those behind it.
 */

/** Pulls per second. */
export const RATE = 10;

export type PullTarget = { url: string; repository: string; tag: string; digest: string; seconds: number };
/** ms of each pull: of the manifest alone, and of both. */
export type PullTimes = { manifest: number[]; both: number[] };

const agent = new Agent({ keepAlive: true });

function receive(url: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  get(url, { agent, headers: { accept: mediaTypes.ociManifest } }, (response) => {
    if (response.statusCode !== 200) reject(new Error(`${url}: ${response.statusCode}`));
    response.resume().once('end', resolve).once('error', reject);
  }).once('error', reject);
  return promise;
}

async function pulls({ url, repository, tag, digest, seconds }: PullTarget): Promise<PullTimes> {
  const times: PullTimes = { manifest: [], both: [] };
  const start = performance.now();
  const pull = async (due: number) => {
    await sleep(Math.max(0, due - performance.now()));
    await receive(`${url}/v2/${repository}/manifests/${tag}`);
    times.manifest.push(performance.now() - due);
    await receive(`${url}/v2/${repository}/blobs/${digest}`);
    times.both.push(performance.now() - due);
  };
  const count = seconds * RATE;
  await Promise.all(Array.from({ length: count }, (_, index) => pull(start + (index * 1_000) / RATE)));
  return times;
}

parentPort?.postMessage(await pulls(workerData as PullTarget));
