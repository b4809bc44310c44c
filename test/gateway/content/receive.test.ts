import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { after, test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { IngestFile } from '#proto/volume/volume.ts';
import { type ReceiveOptions, receive } from '../../../services/gateway/content/receive.ts';
import { RunningHashes } from '../../../services/gateway/content/running-hashes.ts';
import { MINIMUM_RATE, RateMeter } from '../../../services/gateway/http/minimum-rate.ts';
import { sha256 } from '../gateway-rig.ts';

const folder = await mkdtemp(join(tmpdir(), 'terrace-receive-'));
const opened: IngestFile[] = [];
after(async () => {
  for (const file of opened) await file[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

async function newFile() {
  const path = join(folder, String(opened.length));
  const file = new IngestFile(await open(path, 'w+'));
  opened.push(file);
  return { path, file };
}
const options = (more: Partial<ReceiveOptions> = {}): ReceiveOptions => ({
  from: 0,
  limit: Number.POSITIVE_INFINITY,
  excess: 'too-large',
  idleMs: 5_000,
  minimumRate: MINIMUM_RATE,
  signal: new AbortController().signal,
  ...more,
});
const digestOf = (hash?: { hash: { digest(form: 'hex'): string } }) => `sha256:${hash?.hash.digest('hex')}`;

test('a body is written completely and hashed, for any sizes of its chunks', async () => {
  const chunks = [0, 1, 100, 65_536, 3_000_000, 7, 65_536, 65_536].map((size) => randomBytes(size));
  const content = Buffer.concat(chunks);
  const { path, file } = await newFile();
  const received = await receive(
    Readable.from(chunks),
    file,
    options({ hash: RunningHashes.begin('sha256') }),
  );
  equal(received.failure, undefined);
  equal(received.end, content.byteLength);
  equal(digestOf(received.hash), sha256(content));
  deepEqual(await readFile(path), content);
});

test('a body continues where the one before it ended, and so does the hash', async () => {
  const { path, file } = await newFile();
  const first = await receive(
    Readable.from([Buffer.from('one ')]),
    file,
    options({ hash: RunningHashes.begin('sha256') }),
  );
  const next = await receive(
    Readable.from([Buffer.from('two')]),
    file,
    options({ from: first.end, hash: first.hash }),
  );
  equal(digestOf(next.hash), sha256('one two'));
  equal(await readFile(path, 'utf8'), 'one two');
});

test('the received bytes of an interrupted body are written and hashed', async () => {
  const { path, file } = await newFile();
  const body = new PassThrough();
  const receiving = receive(body, file, options({ hash: RunningHashes.begin('sha256') }));
  body.once('data', () => body.destroy());
  body.write('some');
  const received = await receiving;
  equal(received.failure?.code, 'size-invalid');
  equal(received.end, 4);
  equal(digestOf(received.hash), sha256('some'));
  equal(await readFile(path, 'utf8'), 'some');
});

test('a body that exceeds its limit is ended before the bytes beyond it', async () => {
  const { file } = await newFile();
  const body = Readable.from([Buffer.from('1234'), Buffer.from('5678')]);
  const received = await receive(body, file, options({ limit: 6, excess: 'size-invalid' }));
  equal(received.failure?.code, 'size-invalid');
  equal(received.end, 4);
});

test('an idle body is ended', async () => {
  const { file } = await newFile();
  const body = new PassThrough();
  body.write('x');
  const received = await receive(body, file, options({ idleMs: 30 }));
  equal(received.failure?.code, 'upload-invalid');
  equal(received.end, 1);
});

test('a lost claim ends the writing, and the hash is discarded', async () => {
  const { file } = await newFile();
  const lost = new AbortController();
  const body = new PassThrough();
  body.write('x');
  const receiving = receive(
    body,
    file,
    options({ hash: RunningHashes.begin('sha256'), signal: lost.signal }),
  );
  lost.abort(new Fault('claim-lost', 'lost'));
  const received = await receiving;
  equal(received.failure?.code, 'claim-lost');
  equal(received.hash, undefined);
});

test('a failed write is returned as a Fault, and the body is paused', async () => {
  const { file } = await newFile();
  file.write = async () => {
    throw Object.assign(new Error('full'), { code: 'ENOSPC' });
  };
  const body = new PassThrough();
  body.write('x');
  const received = await receive(body, file, options({ hash: RunningHashes.begin('sha256') }));
  equal(received.failure?.code, 'no-space');
  equal(received.hash, undefined);
  equal(received.end, 0);
  ok(body.isPaused());
});

test('a body that is faster than the disk is paused', async () => {
  const { file } = await newFile();
  const { promise: disk, resolve: release } = Promise.withResolvers<void>();
  const write = file.write.bind(file);
  file.write = async (buffers, position) => {
    await disk;
    return write(buffers, position);
  };
  let reads = 0;
  const body = new Readable({
    highWaterMark: 65_536,
    read() {
      reads += 1;
      this.push(reads > 200 ? null : Buffer.alloc(65_536));
    },
  });
  const receiving = receive(body, file, options());
  await new Promise((resolve) => body.once('pause', resolve));
  // One batch waits, one is being written, and the stream buffers some.
  ok(reads < 40, `${reads} chunks were read`);
  release();
  equal((await receiving).end, 200 * 65_536);
});

test('a running hash is returned for its own offset only, and the number of hashes is bounded', () => {
  const hashes = new RunningHashes();
  const hash = RunningHashes.begin('sha256');
  hash.hash.update('abc');
  hashes.put('u', 3, hash);
  equal(hashes.digest('u', 3, 'sha256'), sha256('abc'));
  equal(hashes.digest('u', 3, 'sha512'), undefined);
  equal(hashes.digest('u', 4, 'sha256'), undefined);
  equal(hashes.take('u', 4), undefined);
  equal(hashes.take('u', 3), undefined, 'a wrong offset discards it');
  for (let index = 0; index < 1_100; index += 1)
    hashes.put(`u${index}`, 0, RunningHashes.begin('sha256'), 1_000);
  equal(hashes.size, 1_000);
  equal(hashes.take('u0', 0), undefined);
  ok(hashes.take('u1099', 0));
  hashes.put('late', 0, RunningHashes.begin('sha256'), 10_000_000);
  equal(hashes.size, 1, 'old ones were removed');
  hashes.forget('late');
  equal(hashes.size, 0);
});

test('a body below the minimum rate is ended, and its received bytes are written', async () => {
  const { path, file } = await newFile();
  const body = new PassThrough();
  const dripping = setInterval(() => body.write('x'), 1);
  const minimumRate = { bytesPerSecond: 1e9, windowMs: 50 };
  const received = await receive(body, file, options({ minimumRate }));
  clearInterval(dripping);
  equal(received.failure?.code, 'upload-invalid');
  match(received.failure?.message ?? '', /^received \d+ B in 0\.05 s: send at least 1\.0 GB\/s/);
  equal((await readFile(path, 'utf8')).length, received.end);
});

/** Results of minutes in which `bytes` were received, and the client was awaited except for `stalledMs`. */
function minutes(...all: [bytes: number, stalledMs?: number][]): (number | undefined)[] {
  let now = 5_000;
  const meter = new RateMeter(MINIMUM_RATE, now);
  return all.map(([bytes, stalledMs = 0]) => {
    const end = now + MINIMUM_RATE.windowMs;
    meter.startWaiting(now);
    meter.startWriting(end - stalledMs);
    meter.addReceived(bytes);
    if (stalledMs === 0) meter.startWaiting(end);
    now = end;
    return meter.endWindow(end);
  });
}

test('a minute with too few bytes counts if the client was awaited, and not if the disk was', () => {
  deepEqual(minutes([1_920], [1]), [undefined, 1]);
  deepEqual(minutes([0]), [0]);
  deepEqual(minutes([1], [100, 30_000], [1_919, 1_000]), [1, undefined, 1_919]);
  // 5 kbit/s that ten bodies share.
  deepEqual(minutes([3_750], [3_750]), [undefined, undefined]);
});
