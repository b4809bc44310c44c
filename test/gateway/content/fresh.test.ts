import { equal } from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { putTag } from '#proto/content/manifests.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { Storage } from '../../../services/storage/storage.ts';
import { quiet } from '../../support/bus.ts';
import { until } from '../../support/until.ts';
import { GatewayRig, sha256 } from '../gateway-rig.ts';
import { kill } from '../rig-storage.ts';

/*
 * Two gateways with one storage, each with a cache. Neither may contradict what the other has answered before.
 */
const full = process.env.TERRACE_FULL === '1';
const layer = await GatewayRig.start({}, { apart: true });
after(() => layer[Symbol.asyncDispose]());

/** Starts another gateway process. @returns its URL */
async function startGateway(env: NodeJS.ProcessEnv = {}): Promise<string> {
  const settings = { TERRACE_LISTEN: '127.0.0.1:0', TERRACE_LOG: 'info', TERRACE_MODE: 'ReadWrite', ...env };
  const child = layer.spawn('gateway', settings);
  after(() => kill(child));
  let log = '';
  child.stdout?.on('data', (line) => {
    log += line;
  });
  const url = () => /listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(log)?.[1];
  await until(() => url() !== undefined);
  return url()!;
}

const local = layer.url;
const other = await startGateway();

const config = '{"architecture":"amd64","os":"linux"}';
await layer.blob('app', config);
const image = (n: number) =>
  JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: sha256(config),
      size: config.length,
    },
    layers: [],
    annotations: { n: String(n) },
  });
const images = Array.from({ length: 5 }, (_, n) => image(n));
const digests = images.map(sha256);

const manifestPath = (reference: string) => `/v2/app/manifests/${reference}`;
async function put(url: string, reference: string, body: string): Promise<void> {
  const headers = { 'content-type': mediaTypes.ociManifest };
  const response = await fetch(url + manifestPath(reference), { method: 'PUT', headers, body });
  await response.arrayBuffer();
  equal(response.status, 201);
}
async function get(url: string, reference: string, method = 'GET'): Promise<string> {
  const response = await fetch(url + manifestPath(reference), { method });
  const text = await response.text();
  const digest = response.headers.get('docker-content-digest');
  if (response.status !== 200) return String(response.status);
  if (method === 'GET') equal(sha256(text), digest);
  return digest ?? '';
}
const remove = async (url: string, path: string) => {
  equal((await fetch(url + path, { method: 'DELETE' })).status, 202);
};
for (const body of images) await put(local, sha256(body), body);

/**
 * Moves tags and reads each of them as soon as its move is answered, while other readers poll them.
 */
async function moveAndRead(url: string, tags: number, moves: number): Promise<void> {
  let ended = false;
  const poll = async (tag: string) => {
    while (!ended) await get(url, tag);
  };
  const move = async (tag: string) => {
    for (let n = 0; n < moves; n += 1) {
      const digest = digests[n % digests.length]!;
      await layer.bus.call(putTag, { repository: 'app', tag, digest });
      equal(await get(url, tag, n % 2 ? 'HEAD' : 'GET'), digest, `${tag} after ${n} moves`);
    }
  };
  const names = Array.from({ length: tags }, (_, n) => `moved-${n}`);
  const readers: Promise<void>[] = [];
  const moved = Promise.all(names.map(move)).finally(() => {
    ended = true;
  });
  await until(async () => (await Promise.all(names.map((name) => get(url, name)))).every((x) => x !== '404'));
  readers.push(...names.map(poll));
  await moved;
  await Promise.all(readers);
}

test('a moved tag is visible at once in another process, at every move', () =>
  moveAndRead(other, 8, full ? 5_000 : 60));

test('a moved tag is visible at once in a process that receives messages of the bus late', async () => {
  await using slow = await SlowBus.start(layer.testBus.port);
  const delayed = await startGateway({ TERRACE_BUS: slow.url });
  await moveAndRead(delayed, 4, 25);
});

test('a push through one process is visible at once in the other', async () => {
  for (let n = 0; n < 30; n += 1) {
    const [from, to] = n % 2 ? [local, other] : [other, local];
    await put(from, 'pushed', images[n % images.length]!);
    equal(await get(to, 'pushed'), digests[n % images.length]);
    equal(await get(from, 'pushed'), digests[n % images.length]);
  }
});

test('a gateway that is the only one reads its own writes at once', async () => {
  const alone = await startGateway({ TERRACE_GATEWAYS: '1' });
  for (let n = 0; n < 30; n += 1) {
    await put(alone, 'alone', images[n % images.length]!);
    for (const method of ['GET', 'HEAD'])
      equal(await get(alone, 'alone', method), digests[n % images.length]);
  }
  await remove(alone, manifestPath('alone'));
  equal(await get(alone, 'alone'), '404');
});

test('a deletion of a tag, manifest or blob is visible at once in the other process', async () => {
  for (let n = 0; n < 5; n += 1) {
    const body = image(1_000 + n);
    const digest = sha256(body);
    await put(local, 'deleted', body);
    await put(local, 'stays', body);
    for (const reference of ['deleted', 'stays', digest]) equal(await get(other, reference), digest);
    await remove(local, manifestPath('deleted'));
    equal(await get(other, 'deleted'), '404');
    equal(await get(other, digest), digest);
    await remove(local, manifestPath(digest));
    equal(await get(other, digest), '404');
    equal(await get(other, 'stays'), '404');
    const blob = await layer.blob('app', `blob ${n}`);
    const path = `/v2/app/blobs/${blob}`;
    for (let times = 0; times < 3; times += 1) equal(await (await fetch(other + path)).text(), `blob ${n}`);
    await remove(local, path);
    equal((await fetch(other + path)).status, 404);
  }
});

test('a manifest pushed again with another media type is served with that one at once', async () => {
  const { mediaType: _, ...rest } = JSON.parse(image(2_000));
  const body = JSON.stringify(rest);
  for (const mediaType of [mediaTypes.ociManifest, mediaTypes.dockerManifest, mediaTypes.ociManifest]) {
    const headers = { 'content-type': mediaType };
    equal((await fetch(local + manifestPath('typed'), { method: 'PUT', headers, body })).status, 201);
    for (const reference of ['typed', sha256(body)]) {
      const response = await fetch(other + manifestPath(reference));
      await response.arrayBuffer();
      equal(response.headers.get('content-type'), mediaType);
    }
  }
});

test('a change by a storage process that died before it published it is visible once the next one serves', async () => {
  await put(local, 'unpublished', images[0]!);
  equal(await get(other, 'unpublished'), digests[0]);
  await layer.storageDown();
  equal(await get(other, 'unpublished'), digests[0], 'it is cached while storage is down');
  {
    await using silent = await Storage.open({ data: layer.data, publish: () => {}, log: quiet });
    await silent.tags.put('app', { tag: 'unpublished', digest: digests[1]! });
  }
  await layer.storageUp();
  equal(await get(other, 'unpublished'), digests[1]);
});

test('a gateway that loses the bus clears its cache, and continues once it is connected again', async () => {
  const { cache } = layer.gateway;
  for (const reference of digests) await get(local, reference);
  equal(cache.size.places >= digests.length, true);
  equal(cache.size.bytes > 0 && cache.size.bytes < 100_000, true);
  await layer.testBus.kill();
  await until(() => cache.size.places === 0 && cache.size.contents === 0);
  await layer.testBus.up();
  await until(async () => (await get(local, digests[0]!)) === digests[0]);
});

/** A proxy of a nats-server that delays the server's messages. */
class SlowBus implements AsyncDisposable {
  readonly url: string;
  readonly #sockets = new Set<Socket>();
  readonly #server: ReturnType<typeof createServer>;

  static async start(port: number): Promise<SlowBus> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new SlowBus(server, port);
  }

  private constructor(server: ReturnType<typeof createServer>, port: number) {
    this.#server = server;
    this.url = `nats://127.0.0.1:${(server.address() as { port: number }).port}`;
    server.on('connection', (client) => {
      const upstream = createConnection(port, '127.0.0.1');
      for (const socket of [client, upstream]) {
        this.#sockets.add(socket);
        socket.on('error', () => {}).on('close', () => [client, upstream].map((each) => each.destroy()));
      }
      client.pipe(upstream);
      // In order, since the delay is always the same.
      upstream.on('data', (bytes) => void sleep(15).then(() => client.write(bytes)));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
