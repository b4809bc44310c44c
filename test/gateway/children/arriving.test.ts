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
import { GatewayRig, sha256 } from '../gateway-rig.ts';

/** What a layer below receives of a blob that is still in transfer. */

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());
const syncer = await layer.testBus.connect('syncer');
const volume = new Volume(layer.data);

const part = { tags: ['v1'], platforms: ['linux/amd64'] };

/** An active transfer: bytes are written and logged as a syncer does. */
class Transfer {
  readonly content: Buffer;
  readonly digest: string;
  readonly repository: string;
  claim!: Claim;

  static async begin(repository: string, size = 3_000_000): Promise<Transfer> {
    const transfer = new Transfer(repository, randomBytes(size));
    await transfer.acquire();
    return transfer;
  }

  private constructor(repository: string, content: Buffer) {
    this.repository = repository;
    this.content = content;
    this.digest = sha256(content);
  }

  get folder(): string {
    return join(layer.data, this.claim.path);
  }

  async acquire(): Promise<void> {
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

  /** Requests the bytes `[start, end)`. */
  request(start: number, end: number, { wait = 0, login = '', repository = this.repository } = {}) {
    const query = new URLSearchParams({ repository, wait: String(wait) });
    return layer.fetch('GET', `${ARRIVING_PATH}/${this.digest}?${query}`, {
      headers: { range: `bytes=${start}-${end - 1}`, ...basic(login) },
    });
  }

  /** Checks that the response has these bytes, and their Content-Range. */
  async expect(response: Response, start: number, end: number): Promise<void> {
    equal(response.status, 206);
    equal(response.headers.get('x-accel-buffering'), 'no');
    equal(response.headers.get('content-range'), `bytes ${start}-${end - 1}/${this.content.length}`);
    ok(Buffer.from(await response.arrayBuffer()).equals(this.content.subarray(start, end)));
  }
}

const basic = (login: string): Record<string, string> =>
  login ? { authorization: `Basic ${Buffer.from(login).toString('base64')}` } : {};

async function list({ after = '', wait = 0, login = '' } = {}): Promise<Arriving> {
  const query = new URLSearchParams({ ...(after && { after }), wait: String(wait) });
  const response = await layer.fetch('GET', `${ARRIVING_PATH}?${query}`, { headers: basic(login) });
  equal(response.status, 200);
  return (await response.json()) as Arriving;
}

test('the part of a range that has arrived is sent, from its start on, across chunks and within them', async () => {
  const transfer = await Transfer.begin('app');
  await transfer.write(1_000_000, 2_000_000);
  await transfer.write(0, 1_000_000);
  await transfer.write(2_500_000, 3_000_000);
  await transfer.expect(await transfer.request(0, 3_000_000), 0, 2_000_000);
  await transfer.expect(await transfer.request(300_000, 1_400_000), 300_000, 1_400_000);
  await transfer.expect(await transfer.request(2_600_000, 9_000_000), 2_600_000, 3_000_000);
  equal((await transfer.request(2_000_000, 3_000_000)).status, 204);
  equal((await transfer.request(3_000_000, 4_000_000)).status, 416);
});

test('a request waits for bytes, and is answered when they arrive', async () => {
  const transfer = await Transfer.begin('app');
  const first = transfer.request(0, 1_000_000, { wait: 30 });
  await transfer.write(0, 500_000);
  await transfer.expect(await first, 0, 500_000);
  const second = transfer.request(500_000, 1_000_000, { wait: 30 });
  await transfer.write(500_000, 1_000_000);
  await transfer.expect(await second, 500_000, 1_000_000);
});

test('no byte of a chunk with a wrong checksum is sent, nor any byte after it', async () => {
  const transfer = await Transfer.begin('app');
  await transfer.write(0, 1_000_000);
  await transfer.write(1_000_000, 2_000_000, 1);
  equal((await transfer.request(1_500_000, 2_000_000)).status, 204);
  const response = await transfer.request(0, 2_000_000);
  let received = 0;
  try {
    for await (const part of response.body!) received += part.length;
  } catch {}
  ok(received <= 1_000_000, `received ${received} bytes`);
});

test('a truncated chunk log is used up to its last full entry, and a replaced one is read from its start', async () => {
  const transfer = await Transfer.begin('app');
  await transfer.write(0, 1_000_000);
  await transfer.write(1_000_000, 2_000_000);
  const log = join(transfer.folder, 'chunks');
  await transfer.expect(await transfer.request(0, 3_000_000), 0, 2_000_000);
  await truncate(log, LOG_MAGIC.length + 20 + 7);
  await transfer.expect(await transfer.request(0, 3_000_000), 0, 1_000_000);
  await writeFile(log, 'TER');
  equal((await transfer.request(0, 3_000_000)).status, 204);
  await rm(log);
  await transfer.write(0, 400_000);
  await transfer.expect(await transfer.request(0, 3_000_000), 0, 400_000);
});

test('content whose ingest folder is missing is located again: it may be committed, and not linked yet', async () => {
  const transfer = await Transfer.begin('app', 2_000_000);
  await transfer.write(0, 1_000_000);
  await transfer.expect(await transfer.request(0, 2_000_000), 0, 1_000_000);
  await transfer.write(1_000_000, 2_000_000);
  await transfer.commit();
  await transfer.expect(await transfer.request(0, 2_000_000), 0, 2_000_000);
  // Clients cannot pull it before it is linked.
  const blob = `/v2/app/blobs/${transfer.digest}`;
  equal((await layer.fetch('GET', blob)).status, 404);
  equal((await transfer.request(0, 1, { repository: 'other' })).status, 404);
  await syncer.call(linkBlobs, { repository: 'other', digests: [transfer.digest] });
  await transfer.expect(await transfer.request(5, 10, { repository: 'other' }), 5, 10);
  await rm(transfer.folder, { recursive: true, force: true });
  const abandoned = await Transfer.begin('app');
  await rm(abandoned.folder, { recursive: true });
  equal((await abandoned.request(0, 10)).status, 204);
});

test('a blob without a transfer is unknown, and an invalid name or digest is refused', async () => {
  const digest = sha256('nothing');
  const statusFor = async (query: string) =>
    (await layer.fetch('GET', `${ARRIVING_PATH}/${digest}?${query}`)).status;
  equal(await statusFor('repository=app'), 404);
  equal(await statusFor('repository=No'), 400);
  equal(await statusFor(''), 400);
  equal((await layer.fetch('GET', `${ARRIVING_PATH}/sha256:1?repository=app`)).status, 400);
});

test('a blob is listed while its transfer is claimed, and a request waits until the list changes', async () => {
  const before = await list();
  const waiting = list({ after: before.cursor, wait: 58 });
  const transfer = await Transfer.begin('listed/app');
  const { digest, repository } = transfer;
  const size = transfer.content.length;
  const about = { repository, digest, size, direction: 'down' as const, syncer: 'a', pass: 'p' };
  syncer.publish(transferStarted, { ...about, present: 0 });
  const own = ({ blobs }: Arriving) => blobs.filter((blob) => blob.repository === repository);
  const [listed] = own(await waiting);
  deepEqual({ ...listed, attempt: '' }, { repository, digest, size, attempt: '', part });
  const { id, claim } = transfer.claim;
  await syncer.call(releaseClaim, { id, claim });
  deepEqual(own(await list()), []);
  await transfer.write(0, 100);
  await transfer.expect(await transfer.request(0, 1_000), 0, 100);
  await transfer.acquire();
  const [relisted] = own(await list());
  ok(relisted && relisted.attempt !== listed?.attempt && relisted.attempt !== claim);
});

test('an account gets only arriving content that it may pull, in the list and as bytes', async () => {
  const operator = await layer.testBus.connect('operator');
  const actions = ['repositories/seen/*/content/read', 'repositories/seen/*/metadata/read'];
  const { password } = await operator.call(createToken, { name: 'child', actions });
  const login = `child:${password}`;
  const seen = await Transfer.begin('seen/app');
  const hidden = await Transfer.begin('hidden/app');
  for (const transfer of [seen, hidden]) await transfer.write(0, 1_000);
  const repositories = new Set((await list({ login })).blobs.map(({ repository }) => repository));
  deepEqual([...repositories], ['seen/app']);
  await seen.expect(await seen.request(0, 1_000, { login }), 0, 1_000);
  const refused = await hidden.request(0, 1_000, { login });
  equal(refused.status, 404);
  equal((await hidden.request(0, 1_000, { login, repository: 'seen/app' })).status, 404);
  equal((await seen.request(0, 1_000)).status, 401);
  equal((await layer.fetch('GET', ARRIVING_PATH)).status, 401);
});
