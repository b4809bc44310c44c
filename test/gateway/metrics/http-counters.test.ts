import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, test } from 'node:test';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { routeOf, routes } from '../../../services/gateway/metrics/route-classes.ts';
import { pushImage } from '../../support/registry/image.ts';
import { until } from '../../support/until.ts';
import { GatewayRig } from '../gateway-rig.ts';

/** Counts of the requests of a gateway. */

let layer: GatewayRig;
before(async () => {
  layer = await GatewayRig.start();
});
after(() => layer[Symbol.asyncDispose]());

const countOf = (route: string, method: string, code: string): number => {
  const { endpoints } = layer.gateway.httpCounters.read();
  return endpoints.find((one) => one.route === route && one.method === method)?.codes[code] ?? 0;
};

/** A request is counted when its connection is free again. */
const counted = (route: string, method: string, code: string, count: number) =>
  until(() => countOf(route, method, code) === count, `${count} ${method} ${route} ${code}`);

test('requests are counted by group of paths, method and status, with their time', async () => {
  await pushImage(`127.0.0.1:${layer.port}`, 'app', '1', { layers: [100] });
  await counted('manifest', 'PUT', '201', 1);
  const before = countOf('manifest', 'GET', '200');
  const headers = { accept: mediaTypes.ociManifest };
  for (let get = 0; get < 3; get += 1) {
    await (await layer.fetch('GET', '/v2/app/manifests/1', { headers })).arrayBuffer();
  }
  await counted('manifest', 'GET', '200', before + 3);
  await (await layer.fetch('GET', '/v2/app/manifests/2')).arrayBuffer();
  await counted('manifest', 'GET', '404', 1);
  const { endpoints } = layer.gateway.httpCounters.read();
  const gets = endpoints.find(({ route, method }) => route === 'manifest' && method === 'GET');
  const sum = (numbers: Iterable<number>) => [...numbers].reduce((total, one) => total + one, 0);
  assert.equal(sum(gets?.duration.buckets ?? []), sum(Object.values(gets?.codes ?? {})));
  assert.ok((gets?.duration.seconds ?? 0) > 0);
});

test('a request without an endpoint is counted as other, and one with an unusual method by its endpoint', async () => {
  await (await layer.fetch('GET', '/nowhere/at/all')).arrayBuffer();
  await counted('other', 'other', '404', 1);
  await (await layer.fetch('DELETE', '/v2/')).arrayBuffer();
  await counted('base', 'DELETE', '405', 1);
});

test('a request is in flight until it is answered, or its client has left', async () => {
  const { httpCounters } = layer.gateway;
  await until(() => httpCounters.inFlight === 0, 'no request is in flight');
  const upload = await layer.upload('app');
  await until(() => httpCounters.inFlight === 0, 'no request is in flight');
  const sending = request(new URL(upload, layer.url), { method: 'PATCH' });
  sending.on('error', () => {});
  sending.write('part');
  await until(() => httpCounters.inFlight === 1, 'the upload is in flight');
  sending.destroy();
  await until(() => httpCounters.inFlight === 0, 'the upload has ended');
  await counted('upload', 'PATCH', 'aborted', 1);
});

test('each route of the gateway has a group, and no group is without a route', () => {
  const groups = new Set(layer.routes.filter((path) => path.startsWith('/')).map(routeOf));
  assert.ok(!groups.has('other'), [...groups].join(' '));
  // Those of the operator's API and page.
  const expected = routes.filter((route) => !['api', 'page', 'metrics', 'other'].includes(route));
  assert.deepEqual(
    expected.filter((route) => !groups.has(route)),
    [],
  );
});
