import { deepEqual, equal, ok } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { createToken } from '#proto/accounts/accounts.ts';
import { ARRIVING_PATH, type Arriving } from '#proto/content/arriving.ts';
import { linkBlobs } from '#proto/content/blobs.ts';
import { type Claim, claimTransfer, commitBlob, releaseClaim } from '#proto/content/ingests.ts';
import { transferStarted } from '#proto/sync/transfers.ts';
import { encodeChunk, LOG_MAGIC } from '#proto/volume/chunk-log.ts';
import { Volume } from '#proto/volume/volume.ts';
import { sha256, TestLayer } from '../layer.ts';

/** What of a blob that is still coming a layer below gets. */

const layer = await TestLayer.start();
after(() => layer[Symbol.asyncDispose]());
const syncer = await layer.testBus.connect('syncer');
const volume = new Volume(layer.data);

const part = { tags: ['v1'], platforms: ['linux/amd64'] };

/** A transfer under way: bytes are written and logged as a syncer does. */
class Coming {
  readonly content: Buffer;
  readonly digest: string;
  readonly repository: string;
  claim!: Claim;

  static async begin(repository: string, size = 3_000_000): Promise<Coming> {
    const coming = new Coming(repository, randomBytes(size));
    await coming.claimed();
    return coming;
  }

  private constructor(repository: string, content: Buffer) {
    this.repository = repository;
    this.content = content;
    this.digest = sha256(content);
  }

  get folder(): string {
    return join(layer.data, this.claim.path);
  }

  async claimed(): Promise<void> {
    const { digest, repository } = this;
    const size = this.content.length;
    this.claim = await syncer.call(claimTransfer, { repository, digest, size, part, by: 'a' });
  }

  async write(start: number, end: number, crc = crc32(this.content.subarray(start, end))): Promise<void> {
    await using file = await volume.openIngest(this.claim);
    await file.write([this.content.subarray(start, end)], start);
    const log = await volume.openLog(this.claim);
    if ((await log.stat()).size === 0) await log.appendFile(LOG_MAGIC);
    await log.appendFile(encodeChunk({ start, end, crc }));
    await log.close();
  }

  async commit(): Promise<void> {
    const { id, claim } = this.claim;
    await syncer.call(commitBlob, { id, claim, digest: this.digest, size: this.content.length });
  }

  /** Asks for `[start, end)`. */
  ask(start: number, end: number, { wait = 0, login = '', repository = this.repository } = {}) {
    const query = new URLSearchParams({ repository, wait: String(wait) });
    return layer.fetch('GET', `${ARRIVING_PATH}/${this.digest}?${query}`, {
      headers: { range: `bytes=${start}-${end - 1}`, ...basic(login) },
    });
  }

  /** The answer is these bytes, and says so. */
  async expect(answer: Response, start: number, end: number): Promise<void> {
    equal(answer.status, 206);
    equal(answer.headers.get('content-range'), `bytes ${start}-${end - 1}/${this.content.length}`);
    ok(Buffer.from(await answer.arrayBuffer()).equals(this.content.subarray(start, end)));
  }
}

const basic = (login: string): Record<string, string> =>
  login ? { authorization: `Basic ${Buffer.from(login).toString('base64')}` } : {};

async function list({ after = '', wait = 0, login = '' } = {}): Promise<Arriving> {
  const query = new URLSearchParams({ ...(after && { after }), wait: String(wait) });
  const answer = await layer.fetch('GET', `${ARRIVING_PATH}?${query}`, { headers: basic(login) });
  equal(answer.status, 200);
  return (await answer.json()) as Arriving;
}

test('what of the range is there from its start on is answered, across chunks and out of their middle', async () => {
  const coming = await Coming.begin('app');
  await coming.write(1_000_000, 2_000_000);
  await coming.write(0, 1_000_000);
  await coming.write(2_500_000, 3_000_000);
  await coming.expect(await coming.ask(0, 3_000_000), 0, 2_000_000);
  await coming.expect(await coming.ask(300_000, 1_400_000), 300_000, 1_400_000);
  await coming.expect(await coming.ask(2_600_000, 9_000_000), 2_600_000, 3_000_000);
  equal((await coming.ask(2_000_000, 3_000_000)).status, 204);
  equal((await coming.ask(3_000_000, 4_000_000)).status, 416);
});

test('a request waits for bytes, and is answered as they come', async () => {
  const coming = await Coming.begin('app');
  const early = coming.ask(0, 1_000_000, { wait: 30 });
  await coming.write(0, 500_000);
  await coming.expect(await early, 0, 500_000);
  const late = coming.ask(500_000, 1_000_000, { wait: 30 });
  await coming.write(500_000, 1_000_000);
  await coming.expect(await late, 500_000, 1_000_000);
});

test('no byte of a chunk whose checksum is wrong is sent, nor of one behind it', async () => {
  const coming = await Coming.begin('app');
  await coming.write(0, 1_000_000);
  await coming.write(1_000_000, 2_000_000, 1);
  equal((await coming.ask(1_500_000, 2_000_000)).status, 204);
  const cut = await coming.ask(0, 2_000_000);
  let came = 0;
  try {
    for await (const part of cut.body!) came += part.length;
  } catch {}
  ok(came <= 1_000_000, `${came} bytes came`);
});

test('what a torn log says is believed up to where it is torn; one that is written anew counts anew', async () => {
  const coming = await Coming.begin('app');
  await coming.write(0, 1_000_000);
  await coming.write(1_000_000, 2_000_000);
  const log = join(coming.folder, 'chunks');
  await coming.expect(await coming.ask(0, 3_000_000), 0, 2_000_000);
  await truncate(log, LOG_MAGIC.length + 20 + 7);
  await coming.expect(await coming.ask(0, 3_000_000), 0, 1_000_000);
  await writeFile(log, 'TER');
  equal((await coming.ask(0, 3_000_000)).status, 204);
  await rm(log);
  await coming.write(0, 400_000);
  await coming.expect(await coming.ask(0, 3_000_000), 0, 400_000);
});

test('a folder that vanishes is asked for again: its content may be committed, and is linked later', async () => {
  const coming = await Coming.begin('app', 2_000_000);
  await coming.write(0, 1_000_000);
  await coming.expect(await coming.ask(0, 2_000_000), 0, 1_000_000);
  await coming.write(1_000_000, 2_000_000);
  await coming.commit();
  await coming.expect(await coming.ask(0, 2_000_000), 0, 2_000_000);
  // Not for everybody: to clients it is not there before it is linked.
  const blob = `/v2/app/blobs/${coming.digest}`;
  equal((await layer.fetch('GET', blob)).status, 404);
  equal((await coming.ask(0, 1, { repository: 'other' })).status, 404);
  await syncer.call(linkBlobs, { repository: 'other', digests: [coming.digest] });
  await coming.expect(await coming.ask(5, 10, { repository: 'other' }), 5, 10);
  await rm(coming.folder, { recursive: true, force: true });
  const lost = await Coming.begin('app');
  await rm(lost.folder, { recursive: true });
  equal((await lost.ask(0, 10)).status, 204);
});

test('what nobody brings is not known; nor is it under a name that is none', async () => {
  const digest = sha256('nothing');
  const known = async (query: string) =>
    (await layer.fetch('GET', `${ARRIVING_PATH}/${digest}?${query}`)).status;
  equal(await known('repository=app'), 404);
  equal(await known('repository=No'), 400);
  equal(await known(''), 400);
  equal((await layer.fetch('GET', `${ARRIVING_PATH}/sha256:1?repository=app`)).status, 400);
});

test('what comes is listed while somebody brings it; a request waits until that is something else', async () => {
  const before = await list();
  const waiting = list({ after: before.cursor, wait: 58 });
  const coming = await Coming.begin('listed/app');
  const { digest, repository } = coming;
  const size = coming.content.length;
  const about = { repository, digest, size, direction: 'down' as const, syncer: 'a', pass: 'p' };
  syncer.publish(transferStarted, { ...about, present: 0 });
  const own = ({ blobs }: Arriving) => blobs.filter((blob) => blob.repository === repository);
  const [told] = own(await waiting);
  deepEqual({ ...told, attempt: '' }, { repository, digest, size, attempt: '', part });
  const { id, claim } = coming.claim;
  await syncer.call(releaseClaim, { id, claim });
  deepEqual(own(await list()), []);
  await coming.write(0, 100);
  await coming.expect(await coming.ask(0, 1_000), 0, 100);
  await coming.claimed();
  const [again] = own(await list());
  ok(again && again.attempt !== told?.attempt && again.attempt !== claim);
});

test('an account is told of, and gets, what it may pull', async () => {
  const operator = await layer.testBus.connect('operator');
  const actions = ['repositories/seen/*/content/read', 'repositories/seen/*/metadata/read'];
  const { password } = await operator.call(createToken, { name: 'child', actions });
  const login = `child:${password}`;
  const seen = await Coming.begin('seen/app');
  const hidden = await Coming.begin('hidden/app');
  for (const coming of [seen, hidden]) await coming.write(0, 1_000);
  const repositories = new Set((await list({ login })).blobs.map(({ repository }) => repository));
  deepEqual([...repositories], ['seen/app']);
  await seen.expect(await seen.ask(0, 1_000, { login }), 0, 1_000);
  const refused = await hidden.ask(0, 1_000, { login });
  equal(refused.status, 404);
  equal((await hidden.ask(0, 1_000, { login, repository: 'seen/app' })).status, 404);
  equal((await seen.ask(0, 1_000)).status, 401);
  equal((await layer.fetch('GET', ARRIVING_PATH)).status, 401);
});
