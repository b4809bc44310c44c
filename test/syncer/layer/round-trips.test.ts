import assert from 'node:assert/strict';
import { test } from 'node:test';
import { passFinished } from '#proto/sync/passes.ts';
import { testLayer } from '../../support/layer.ts';
import { startProxy } from '../../support/proxy/fault-proxy.ts';
import { startCloud } from '../../support/registry/cloud.ts';
import { contentOf, digestOf, pushImage } from '../../support/registry/image.ts';

/** Requests that are answered only when all of them have arrived. */
class Together {
  readonly #missing: Set<string>;
  readonly #arrived = Promise.withResolvers<void>();

  constructor(...requests: string[]) {
    this.#missing = new Set(requests);
    for (const request of requests) this.hold.set(request, this.#arrived.promise);
  }

  readonly hold = new Map<string, Promise<void>>();

  onRequest(request: string): void {
    this.#missing.delete(request);
    if (this.#missing.size === 0) this.#arrived.resolve();
  }
}

test('what a first image needs is requested in four round trips, not one request after the other', async () => {
  await using cloud = await startCloud();
  await using proxy = await startProxy(cloud.url);
  const content = { seed: 'trips', size: 2_000 };
  const { digest } = await pushImage(cloud.url, 'trips', 'v1', { layers: [content] });
  const trips = [
    new Together('GET /v2/', 'GET /v2/_terrace/changes', 'GET /v2/trips/tags/list'),
    new Together('HEAD /v2/trips/manifests/v1', 'GET /v2/trips/manifests/v1'),
    new Together(`GET /v2/trips/referrers/${digest}`, `GET /v2/trips/blobs/${digestOf(contentOf(content))}`),
  ];
  proxy.fault(({ method, path }) => {
    const request = `${method} ${path}`;
    for (const trip of trips) trip.onRequest(request);
    const hold = trips.map((trip) => trip.hold.get(request)).find(Boolean);
    return hold && { hold };
  });
  await using layer = await testLayer({
    parent: proxy.url,
    repositories: ['trips'],
    mode: 'ReadOnly',
    compact: 'hosted',
  });
  const { ok } = await layer.event(passFinished, ({ taken }) => taken > 0);
  assert.equal(ok, true);
});
