import assert from 'node:assert/strict';
import { type HeldDelta, listDeltas } from '#proto/content/deltas.ts';
import { type TestLayer, testLayer } from './layer.ts';
import { type FaultProxy, startProxy } from './proxy/fault-proxy.ts';
import { type PushedImage, pushImage } from './registry/image.ts';
import { gzipLayer } from './registry/versions.ts';

/** Two layers that exchange deltas on any link, and the link between them. */
export type DeltaLayers = { parent: TestLayer; link: FaultProxy; child: TestLayer };

export const ALWAYS = { mode: 'always' as const };

/** The parent runs in the process of the test; a process of the child may be killed. */
export async function startDeltaLayers(stack: AsyncDisposableStack): Promise<DeltaLayers> {
  const parent = stack.use(await testLayer({ name: 'parent', compact: 'hosted', delta: ALWAYS }));
  const link = stack.use(await startProxy(parent.url));
  const child = stack.use(await testLayer({ name: 'child', parent: link.url, delta: ALWAYS }));
  return { parent, link, child };
}

/** No fault, no limit, no requests so far. */
export function resetLink(link: FaultProxy): void {
  link.fault();
  link.bandwidth = {};
  link.clearRequests();
}

/** A pass of the layer without failures. */
export async function completePass(layer: TestLayer): Promise<void> {
  assert.deepEqual((await layer.sync()).failures, []);
}

/**
 * Version 1 of an image is on both layers, version 2 only on `source`; the requests of the link are those from then on.
 * @returns its changed layer
 */
export async function updatedImage(
  { link, child }: DeltaLayers,
  source: TestLayer,
  repository: string,
  layerOf: (version: number) => Buffer = (version) => gzipLayer(version, { seed: repository }),
): Promise<{ image: PushedImage; digest: string; size: number }> {
  await pushImage(source.host, repository, 'v1', { layers: [layerOf(1)] });
  await completePass(child);
  link.clearRequests();
  const image = await pushImage(source.host, repository, 'v1', { layers: [layerOf(2)] });
  const { digest, size } = image.layers[0]!;
  return { image, digest, size };
}

/** The delta to this blob that the layer has. */
export async function deltaOf(layer: TestLayer, digest: string): Promise<HeldDelta | undefined> {
  return (await layer.bus().call(listDeltas, { to: [digest] })).deltas[0];
}
