import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { manifestCommitted, tagMoved } from '#proto/content/content-events.ts';
import { EventOutbox } from '../../../services/storage/history/event-outbox.ts';
import { Metadata } from '../../../services/storage/metadata/metadata.ts';
import { quiet } from '../../support/bus.ts';
import { until } from '../../support/until.ts';
import { type Buses, connectAll } from '../rig.ts';

/** The outbox after a kill at each step, and what storage publishes from it at the next start. */

let buses: Buses;
let folder: string;
before(async () => {
  buses = await connectAll();
  folder = await mkdtemp(join(tmpdir(), 'terrace-outbox-'));
});
after(async () => {
  await buses.server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const digest = `sha256:${'1'.repeat(64)}`;
const moved = (tag: string) => ({ repository: 'app', tag, digest });
async function tags(): Promise<string[]> {
  const found: string[] = [];
  for await (const past of buses.storage.history({})) {
    if ('event' in past && past.event.type === 'terrace.tag.moved') {
      found.push((past.event.data as { tag: string }).tag);
    }
  }
  return found;
}
async function left(metadata: Metadata): Promise<number> {
  let count = 0;
  for await (const _ of metadata.outbox()) count += 1;
  return count;
}

test('a stored event leaves the outbox; any other is published at the next start, once and in order', async () => {
  const { storage: bus } = buses;
  const publish = bus.publish;
  {
    await using metadata = await Metadata.open(join(folder, 'db'));
    const outbox = await EventOutbox.open(metadata, publish);
    const prepared = [outbox.prepare(tagMoved, moved('a')), outbox.prepare(tagMoved, moved('b'))];
    await metadata.write(prepared.flatMap(({ changes }) => changes));
    assert.equal(await left(metadata), 2);
    for (const { publish } of prepared) publish();
    await until(async () => (await left(metadata)) === 0);

    // Killed between the stream storing c and storage receiving the ack, before d is published, before e is written.
    const silent = new EventOutbox(metadata, () => {}, 10);
    const [stored, unpublished, unwritten] = ['c', 'd', 'e'].map((tag) =>
      silent.prepare(tagMoved, moved(tag)),
    );
    await metadata.write([...stored!.changes, ...unpublished!.changes]);
    assert.ok(unwritten);
    await new Promise<void>((resolve) => publish(tagMoved, moved('c'), resolve));
    const made = { repository: 'app', digest, mediaType: 'application/json', size: 1 };
    await metadata.write(silent.prepare(manifestCommitted, made).changes);
    assert.equal(await left(metadata), 3);
  }
  await using metadata = await Metadata.open(join(folder, 'db'));
  const outbox = await EventOutbox.open(metadata, publish);
  await outbox.resume(bus, quiet);
  await until(async () => (await left(metadata)) === 0);
  assert.deepEqual(await tags(), ['a', 'b', 'c', 'd']);
  // Numbering continues after the events that were left.
  const next = outbox.prepare(tagMoved, moved('f'));
  assert.match(JSON.stringify(next.changes), /e!0*14"/);
});

test('an earlier event with the same content does not count as the one in the outbox', async () => {
  const { storage: bus } = buses;
  await using metadata = await Metadata.open(join(folder, 'again'));
  await new Promise<void>((resolve) => bus.publish(tagMoved, moved('x'), resolve));
  const before = (await tags()).length;
  const then = Date.now();
  await until(() => Date.now() > then);
  const silent = new EventOutbox(metadata, () => {});
  await metadata.write(silent.prepare(tagMoved, moved('x')).changes);
  await (await EventOutbox.open(metadata, bus.publish)).resume(bus, quiet);
  await until(async () => (await left(metadata)) === 0);
  assert.equal((await tags()).length, before + 1);
});
