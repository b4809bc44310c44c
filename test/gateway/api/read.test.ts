import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { ConfigurationAnswer } from '#proto/api/configuration.ts';
import type { Events } from '#proto/api/events.ts';
import type { Layer } from '#proto/api/layer.ts';
import type { Layers } from '#proto/api/layers.ts';
import type { Link, Passes } from '#proto/api/link.ts';
import type { Manifest, ManifestHistory } from '#proto/api/manifests.ts';
import type { Repositories, Tags } from '#proto/api/repositories.ts';
import type { Transfers } from '#proto/api/transfers.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { layersBelow } from '#proto/status/layers-below.ts';
import { LINK_KEY, linkStatus, syncerStatus } from '#proto/status/status.ts';
import { park } from '#proto/sync/outgoing.ts';
import { imageStarted, passFinished, passStarted } from '#proto/sync/passes.ts';
import { transferFinished, transferProgressed, transferStarted } from '#proto/sync/transfers.ts';
import { startBridge } from '../../../services/twin-bridge/bridge.ts';
import { until } from '../../support/until.ts';
import { GatewayRig, sha256 } from '../gateway-rig.ts';
import { ApiClient } from './api-client.ts';

/** Every answer of a reading route is held to the document of the API. */

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());
let api: ApiClient;
let syncer: Bus;
let digest = '';
let bridge: Disposable | undefined;
after(() => bridge?.[Symbol.dispose]());

const config = '{}';
const manifestOf = (fields: object) =>
  JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256(config), size: 2 },
    layers: [],
    ...fields,
  });
const headers = { 'content-type': mediaTypes.ociManifest };
const pushed = manifestOf({
  layers: [{ mediaType: 'application/octet-stream', digest: sha256('layer'), size: 5 }],
  annotations: { a: 'b' },
});
const link = {
  state: 'Offline',
  since: 1_000,
  detail: 'no route',
  code: 'parent-unreachable',
  coordinator: 's',
} as const;
const document = `
name: plant
parent: { url: https://cloud.example/path, username: plant, passwordFile: /etc/hostname }
repositories: [line/*]
bandwidth: [{ limit: 8 Mbit/s }]
notifications: { webhooks: [{ name: hook, url: "https://hook.example/x?key=secret" }] }
`;

before(async () => {
  api = await ApiClient.of(layer);
  syncer = await layer.testBus.connect('syncer');
  const twinBridge = await layer.testBus.connect('twin-bridge');
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const source = {
    name: '/etc/terrace.yaml',
    watch(handler: (state: { text: string; folder: string }) => unknown) {
      handler({ text: document, folder: '/etc' });
      return { [Symbol.dispose]() {} };
    },
  };
  bridge = startBridge(twinBridge, log, source, {
    overrides: { mode: 'ReadWrite' },
    defaults: { logLevel: 'warn' },
  });
  layer.bus.watch(configuration, CONFIGURATION_KEY, (value) => {
    layer.configuration = value;
  });
  for (const repository of ['line/app', 'line/web', 'other']) {
    await layer.blob(repository, config);
    await layer.blob(repository, 'layer');
    for (const tag of ['1', '2', 'latest']) {
      const put = await layer.fetch('PUT', `/v2/${repository}/manifests/${tag}`, { headers, body: pushed });
      equal(put.status, 201);
      digest = put.headers.get('docker-content-digest') ?? '';
    }
  }
  const subject = { mediaType: mediaTypes.ociManifest, digest, size: Buffer.byteLength(pushed) };
  const signature = manifestOf({ artifactType: 'application/vnd.dev.cosign.artifact.sig.v1+json', subject });
  await layer.fetch('PUT', `/v2/line/app/manifests/${sha256(signature)}`, { headers, body: signature });
  await until(() => layer.configuration?.parent !== undefined);
  await syncer.put(linkStatus, LINK_KEY, link);
  await syncer.put(syncerStatus, 'syncer-1', {
    instance: 'syncer-1',
    host: 'elsewhere',
    pid: 1,
    coordinates: true,
    count: 1,
    transfers: [{ repository: 'line/app', digest: sha256('x'), size: 100, direction: 'down', done: 40 }],
  });
  const report = (path: string[], code?: string) => ({
    path,
    name: path.at(-1) ?? 'cell',
    mode: 'ReadOnly' as const,
    at: 5,
    held: { repositories: 1, tags: 2, blobs: 3, bytes: 4 },
    link: { ...link, ...(code && { code }) },
  });
  await layer.bus.put(layersBelow, 'cell', {
    seen: Date.now(),
    layers: [report([]), report(['robot']), report(['lost', 'tool'])],
  });
  await syncer.call(park, {
    repository: 'line/app',
    reference: '2',
    digest,
    code: 'parent-refused',
    reason: 'tag is locked',
    since: 1,
    attempts: 1,
    retry: 2,
  });
});

test('the layer has its status and its problems, each with a remedy', async () => {
  const { body } = await api.get('/layer');
  const shown = body as Layer;
  equal(shown.name, 'plant');
  equal(shown.mode, 'ReadWrite');
  deepEqual(shown.parent, { url: 'https://cloud.example/path', username: 'plant' });
  equal(shown.link?.state, 'Offline');
  equal(shown.held?.repositories, 3);
  deepEqual(shown.children, { count: 1, connected: 1 });
  const codes = shown.problems.map(({ code }) => code);
  for (const code of ['link-offline', 'changes-parked', 'service-silent']) ok(codes.includes(code), code);
  ok(shown.problems.every(({ remedy }) => remedy.length > 10));
  match(shown.version, /^\d+\./);
});

test('the link has its schedule and the limit in force', async () => {
  const { body } = await api.get('/link');
  const shown = body as Link;
  equal(shown.status?.code, 'parent-unreachable');
  deepEqual(shown.bandwidth, [{ limit: 1_000_000, inForce: true }]);
  equal(shown.known, true);
});

test('layers below are a tree; one that did not report itself has a stand-in', async () => {
  const { body } = await api.get('/layers');
  const { items, count, more } = body as Layers;
  deepEqual([count, more, items.length], [3, false, 1]);
  const paths = (list: Layers['items']): string[] =>
    list.flatMap((one) => [one.path.join('/'), ...paths(one.children)]);
  deepEqual(paths(items).sort(), ['cell', 'cell/lost', 'cell/lost/tool', 'cell/robot']);
});

test('repositories are paged and searched, and say whether they are selected', async () => {
  const first = (await api.get('/repositories?limit=2')).body as Repositories;
  deepEqual(
    first.items.map(({ repository, tags, selected }) => [repository, tags, selected]),
    [
      ['line/app', 3, true],
      ['line/web', 3, true],
    ],
  );
  const second = (await api.get(`/repositories?limit=2&after=${encodeURIComponent(first.next ?? '')}`))
    .body as Repositories;
  deepEqual(
    [second.items[0]?.repository, second.items[0]?.selected, second.next],
    ['other', false, undefined],
  );
  const found = (await api.get('/repositories?match=WEB')).body as Repositories;
  deepEqual(
    found.items.map(({ repository }) => repository),
    ['line/web'],
  );
  equal((await api.get('/repositories/line/app')).status, 200);
  equal((await api.get('/repositories/line%2Fapp')).status, 200);
  equal((await api.get('/repositories/line/none')).status, 404);
});

test('tags are paged, and a parked one says why', async () => {
  const page = (await api.get('/repositories/line/app/tags?limit=2')).body as Tags;
  deepEqual(
    page.items.map(({ tag, digest: target, reason }) => [tag, target, reason]),
    [
      ['1', digest, undefined],
      ['2', digest, 'tag is locked'],
    ],
  );
  equal(page.next, '2');
  const last = (await api.get('/repositories/line/app/tags?limit=2&after=2')).body as Tags;
  deepEqual([last.items.length, last.next], [1, undefined]);
  equal((await api.get('/repositories/none/tags')).status, 404);
});

test('a manifest has its parts, its referrers and its history', async () => {
  for (const reference of ['latest', digest]) {
    const shown = (await api.get(`/repositories/line/app/manifests/${reference}`)).body as Manifest;
    equal(shown.digest, digest);
    deepEqual(
      shown.layers.map(({ size, here }) => [size, here]),
      [[5, true]],
    );
    equal(shown.config?.digest, sha256(config));
    deepEqual(shown.annotations, { a: 'b' });
    deepEqual(
      shown.referrers.map(({ kind }) => kind),
      ['signature'],
    );
    const history = (await api.get(`/repositories/line/app/manifests/${reference}/history`))
      .body as ManifestHistory;
    const types = new Set(history.items.map(({ type }) => type));
    ok(types.has('tag.moved') && types.has('manifest.committed'), [...types].join());
    equal(history.complete, true);
    equal(history.items[0]?.from, 'client');
  }
  equal((await api.get('/repositories/line/app/manifests/none')).status, 404);
  equal((await api.get('/repositories/line/app/manifests/none/history')).status, 404);
  const unknown = `sha256:${'0'.repeat(64)}`;
  const ofUnknown = (await api.get(`/repositories/line/app/manifests/${unknown}/history`)).body;
  deepEqual(ofUnknown, { items: [], complete: true });
  equal((await api.get('/repositories/line/app/manifests/sha256:1')).status, 400);
});

test('passes are listed newest first, with their cause', async () => {
  const result = {
    ok: true,
    taken: 0,
    dropped: 0,
    sent: 0,
    withdrawn: 0,
    failed: 0,
    parked: 0,
    failures: [],
    ms: 5,
  };
  const read = async (query: string) => (await api.get(`/passes${query}`)).body as Passes;
  for (const [index, pass] of ['p1', 'p2', 'p3'].entries()) {
    syncer.publish(passStarted, { pass, coordinator: 'syncer-1', cause: `because of ${pass}` });
    syncer.publish(passFinished, { pass, ...result });
    await until(async () => (await read('')).items.length === index + 1);
  }
  const first = await read('?limit=2');
  deepEqual(
    first.items.map(({ result: { pass }, cause }) => [pass, cause]),
    [
      ['p3', 'because of p3'],
      ['p2', 'because of p2'],
    ],
  );
  const second = await read(`?limit=2&after=${first.next}`);
  deepEqual(
    second.items.map(({ result: { pass } }) => pass),
    ['p1'],
  );
  equal((await api.get('/passes?after=x')).status, 400);
});

test('transfers are shown by image and by syncer, with rate and time left; throughput adds up', async () => {
  const blob = {
    repository: 'line/app',
    digest: sha256('x'),
    size: 100,
    direction: 'down',
    syncer: 's',
    pass: 'p',
  } as const;
  const image = { pass: 'p', repository: 'line/app', tag: 'latest', digest, direction: 'down' } as const;
  syncer.publish(imageStarted, { ...image, blobs: 3, bytes: 1_000 });
  const first = { ...blob, digest: sha256('y'), size: 300 };
  syncer.publish(transferStarted, { ...first, present: 300 });
  syncer.publish(transferFinished, first);
  syncer.publish(transferStarted, { ...blob, present: 20 });
  const shown = async () => (await api.get('/transfers')).body as Transfers;
  const bytes = async () => {
    const { points } = (await api.get('/throughput')).body as { points: { down: number }[] };
    return points.reduce((sum, { down }) => sum + down, 0);
  };
  // Events of different types arrive in any order: progress counts from its repetition after the start.
  await until(async () => {
    syncer.publish(transferProgressed, { ...blob, done: 40, rate: 10 });
    const [running] = (await shown()).images;
    return running?.rate === 10 && running.done === 340 && (await bytes()) > 0;
  });
  const { images, transfers, rate } = await shown();
  deepEqual(images, [
    {
      repository: 'line/app',
      direction: 'down',
      blobs: 1,
      tag: 'latest',
      bytes: 1_000,
      done: 340,
      rate: 10,
      by: ['syncer-1'],
      left: 66,
    },
  ]);
  deepEqual([transfers.length, rate.up], [1, 0]);
  equal(await bytes(), 20);
});

test('events are paged by sequence, filtered by type and layer, and start at a time', async () => {
  const read = async (query: string) => (await api.get(`/events${query}`)).body as Events;
  const all = await read('?limit=1000');
  equal(all.more, false);
  const sequences = all.items.map((item) => ('sequence' in item ? item.sequence : 0));
  deepEqual(
    sequences,
    [...sequences].sort((a, b) => a - b),
  );
  const collected: number[] = [];
  for (let next = 0, more = true; more; ) {
    const page = await read(`?limit=7&after=${next}`);
    ok(page.items.length <= 7);
    for (const item of page.items) if ('sequence' in item) collected.push(item.sequence);
    next = page.next ?? 0;
    more = page.more;
  }
  deepEqual(collected.slice(0, sequences.length), sequences);
  const moved = await read('?type=tag.moved,pass');
  ok(moved.items.every((item) => 'type' in item && /^(?:tag\.moved|pass\..*)$/.test(item.type)));
  equal(moved.items.length > 9, true);
  deepEqual((await read('?layer=none')).items, []);
  deepEqual((await read(`?since=${Date.now() + 3_600_000}`)).items, []);
  deepEqual((await read('?after=900000')).items[0], { gap: { from: 900_001, reason: 'lost' } });
  const newest = await read('?newest=true&limit=3&type=tag.moved');
  const moves = (await read('?limit=1000&type=tag.moved')).items;
  deepEqual(newest.items, moves.slice(-3));
  for (const query of ['?type=A', '?since=never', '?after=1&since=1', '?newest=true&after=1', '?newest=1'])
    equal((await api.get(`/events${query}`)).status, 400);
});

test('the configuration has the source of each field, and no secret', async () => {
  const { body } = await api.get('/configuration');
  const { fields, known, source } = body as ConfigurationAnswer;
  deepEqual([known, source], [true, '/etc/terrace.yaml']);
  const of = (name: string) => fields.find(({ field }) => field === name);
  equal(of('mode')?.source, 'command line');
  equal(of('name')?.source, 'file');
  equal(of('logLevel')?.source, 'environment');
  equal(of('challenge')?.source, 'default');
  equal(of('challenge')?.value, 'Bearer');
  equal(of('parent.username')?.source, 'file');
  equal(of('listen')?.atStart, true);
  ok(!JSON.stringify(body).includes('secret'), JSON.stringify(body));
});

test('all other lists are there', async () => {
  const { items } = (await api.get('/parked')).body as { items: { reference: string }[] };
  deepEqual(
    items.map(({ reference }) => reference),
    ['2'],
  );
  for (const path of ['/storage', '/garbage', '/left-out', '/accounts', '/openapi.json'])
    equal((await api.get(path)).status, 200);
});

test('unknown parameters, repeated ones and wrong values are refused, and name the parameter', async () => {
  for (const [query, message] of [
    ['?x=1', /"x" is not known here: use after, limit/],
    ['?limit=0', /limit is "0": write a whole number from 1 to 1000/],
    ['?limit=1001', /limit/],
    ['?limit=a', /limit/],
    ['?limit=1&limit=2', /limit is repeated/],
    ['?after=', /after/],
  ] as const) {
    const { status, body } = await api.get(`/parked${query}`);
    equal(status, 400, query);
    match((body as { errors: [{ message: string }] }).errors[0].message, message);
  }
  equal((await api.get('/layer?x=1')).status, 400);
  const response = await layer.fetch('PUT', '/api/v1/layer');
  deepEqual([response.status, response.headers.get('allow')], [405, 'GET']);
  equal((await layer.fetch('GET', '/api/v1/none')).status, 404);
  equal((await layer.fetch('GET', '/api/v1/layer')).headers.get('cache-control'), 'no-store');
});

test('every reading operation of the document was answered', () => {
  const answered = new Set([...api.met].map((one) => one.split(' ').slice(0, 2).join(' ')));
  const reading = api.operations.filter((one) => one.startsWith('GET ') && !/stream|session/.test(one));
  deepEqual(
    reading.filter((one) => !answered.has(one)),
    [],
  );
});
