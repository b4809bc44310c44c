import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Level } from 'level';
import type { Bus } from '#proto/bus/bus.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { TestBus } from '../../support/bus.ts';
import { patience, until } from '../../support/until.ts';
import { bytesOf, Client, imageOf, jsonOf, random } from '../rig.ts';

const MAIN = join(import.meta.dirname, '../../../services/storage/main.ts');
const WORKERS = 8;
const ROUNDS = 6;

let server: TestBus;
before(async () => {
  server = await TestBus.start();
});
const started: ChildProcess[] = [];
after(async () => {
  // A failed test leaves its process running.
  for (const child of started) child.kill('SIGKILL');
  await server[Symbol.asyncDispose]();
});

async function startStorage(data: string, bus: Bus): Promise<ChildProcess> {
  const child = spawn(process.execPath, [MAIN], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      TERRACE_DATA: data,
      TERRACE_BUS: server.url,
      TERRACE_BUS_PASSWORD: 'secret-of-storage',
      TERRACE_LOG: 'error',
    },
  });
  started.push(child);
  const answers = () =>
    bus.call(storageStatus, {}, { patience: 0 }).then(
      () => true,
      () => false,
    );
  await until(answers, 'storage answers');
  return child;
}

async function kill(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  const exit = once(child, 'exit');
  child.kill(signal);
  await exit;
  return child.exitCode;
}

/** Pushes images until the round ends, and records what was confirmed. */
class Pusher {
  readonly repository: string;
  readonly blobs = new Map<string, Uint8Array>();
  readonly tags = new Map<string, Uint8Array>();
  /** Possible targets of the tag `latest`: the last confirmed one, and those requested since. */
  moving: string[] = [];
  #serial = 0;

  constructor(repository: string) {
    this.repository = repository;
  }

  async push(client: Client, onConfirmed: () => void): Promise<void> {
    const { repository } = this;
    this.#serial += 1;
    const name = `image-${this.#serial}`;
    const bytes = random(1 + Math.floor(Math.random() * 200_000));
    this.blobs.set(await client.push(repository, bytes), bytes);
    onConfirmed();
    await client.push(repository, bytesOf('{}'));
    await client.push(repository, bytesOf(name));
    onConfirmed();
    const manifest = jsonOf(imageOf(name));
    this.moving.push(name);
    await client.pushManifest(repository, manifest, { tag: name });
    this.tags.set(name, manifest);
    onConfirmed();
    await client.pushManifest(repository, manifest, { tag: 'latest' });
    this.moving = [name];
    onConfirmed();
  }
}

test('after repeated kills during many commits, all confirmed content is present', async () => {
  const data = await mkdtemp(join(tmpdir(), 'terrace-crash-'));
  const bus = await server.connect('gateway');
  const pushers = Array.from({ length: WORKERS }, (_, i) => new Pusher(`lib/worker-${i}`));
  for (let round = 0; round < ROUNDS; round += 1) {
    const storage = await startStorage(data, bus);
    const end = new AbortController();
    const client = new Client(bus, data, 'gateway-1');
    client.call = (contract, query) => bus.call(contract, query, { signal: end.signal });
    let left = 20 + Math.floor(Math.random() * 60);
    const onConfirmed = () => {
      left -= 1;
      if (left === 0) storage.kill('SIGKILL');
    };
    const work = pushers.map(async (pusher) => {
      while (!end.signal.aborted) await pusher.push(client, onConfirmed).catch(() => {});
    });
    await once(storage, 'exit');
    end.abort();
    await Promise.all(work);
  }

  const storage = await startStorage(data, bus);
  const client = new Client(bus, data, 'gateway-1');
  let confirmed = 0;
  for (const { repository, blobs, tags, moving } of pushers) {
    for (const [digest, bytes] of blobs)
      assert.deepEqual(await client.read(repository, digest), Buffer.from(bytes));
    for (const [tag, bytes] of tags) {
      assert.deepEqual(await client.readManifest(repository, tag), Buffer.from(bytes));
    }
    if (tags.size > 0) {
      const latest = await client.readManifest(repository, 'latest');
      assert.ok(
        moving.some((name) => jsonOf(imageOf(name)).toString() === new Uint8Array(latest).toString()),
      );
    }
    confirmed += blobs.size + tags.size;
  }
  assert.ok(confirmed >= ROUNDS * 5, `only ${confirmed} were confirmed`);
  const status = await bus.call(storageStatus, {});
  assert.equal(await kill(storage, 'SIGTERM'), 0, 'storage stops gracefully on SIGTERM');

  await everyNameHasContent(data, status.blobs);
  await rm(data, { recursive: true, force: true });
});

async function everyNameHasContent(data: string, blobs: number): Promise<void> {
  const db = new Level<string, unknown>(join(data, 'metadata'), { valueEncoding: 'json' });
  const known = new Map<string, number>();
  for await (const [key, value] of db.iterator({ gt: 'b!', lt: 'b"' })) {
    known.set(key.slice(2), (value as { size: number }).size);
  }
  assert.equal(known.size, blobs);
  for (const [digest, size] of known) {
    const hex = digest.slice('sha256:'.length);
    const bytes = await readFile(join(data, 'blobs/sha256', hex.slice(0, 2), hex));
    assert.equal(bytes.byteLength, size);
    assert.equal(createHash('sha256').update(bytes).digest('hex'), hex);
  }
  const names = { l: 0, m: 0, t: 0 };
  for await (const [key, value] of db.iterator()) {
    const [kind, repository, name] = key.split('!') as [string, string, string];
    if (kind === 'l' || kind === 'm') assert.ok(known.has(name), `${key} has no content`);
    // Written in the batch that made it visible: a confirmed manifest stays unsent until the parent has it.
    if (kind === 'm') assert.ok(await db.get(`u!${repository}!${name}`), `${key} is not unsent`);
    if (kind === 't') assert.ok(await db.get(`m!${repository}!${value}`), `${key} has no manifest`);
    if (kind in names) names[kind as 'l'] += 1;
  }
  assert.ok(names.l > 0 && names.m > 0 && names.t > 0);
  await db.close();
  // An upload that a kill interrupted waits for its client; no other ingest is left.
  for (const name of await readdir(join(data, 'ingest'))) assert.match(name, /^upload-/);
}

test('storage stops gracefully on SIGTERM, and no request is lost', async () => {
  const data = await mkdtemp(join(tmpdir(), 'terrace-end-'));
  const bus = await server.connect('gateway', 'gateway-end');
  const client = new Client(bus, data, 'gateway-1');
  // A request without an answer fails the test: each is answered, or goes to the next process.
  client.call = (contract, query) => bus.call(contract, query, { patience: patience() });
  const contents = Array.from({ length: 8 }, () => random(500_000));
  let storage = await startStorage(data, bus);
  const pushing = Promise.all(contents.map((bytes) => client.push('lib/app', bytes)));
  for (let round = 0; round < 3; round += 1) {
    assert.equal(await kill(storage, 'SIGTERM'), 0);
    storage = await startStorage(data, bus);
  }
  const digests = await pushing;
  for (const [i, digest] of digests.entries()) {
    assert.deepEqual(await client.read('lib/app', digest), Buffer.from(contents[i]!));
  }
  assert.equal(await kill(storage, 'SIGTERM'), 0);
  await rm(data, { recursive: true, force: true });
});
