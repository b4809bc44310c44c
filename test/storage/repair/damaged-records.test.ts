import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { RebuiltRecords } from '../../../services/storage/repair/rebuilt-records.ts';
import { digestOf, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';
import { app, fileOf, repair, tagsOf } from './repair-rig.ts';

/** A record that is damaged or invalid is restored from the rest of its batch, or dropped and listed. */

const buses = await sharedBuses();

/** Flips one bit of the log: `offset` bytes into the first occurrence of `text` that follows `after`. */
async function flip(rig: Rig, text: string, offset: number, after = text): Promise<void> {
  const path = await fileOf(rig, '.log');
  const log = await readFile(path);
  const at = log.indexOf(text, log.indexOf(after));
  assert.ok(at >= 0, `${text} is in the log`);
  log[at + offset] = (log[at + offset] as number) ^ 0x01;
  await writeFile(path, log);
}

test('a tag whose record is damaged is restored from the event in the same batch', async () => {
  await using rig = await Rig.open(buses);
  const image = await rig.gateway.pushImage(app, 'one', { tag: 'digit' });
  const named = await rig.gateway.pushImage(app, 'two', { tag: 'named' });
  await rig.stop();
  const record = `t!${app}!digit`;
  await flip(rig, record, record.length + 20);
  // This is not a key any more.
  await flip(rig, `t!${app}!named`, 1);
  const { lost, restored } = await repair(rig);
  assert.deepEqual(
    lost.map((line) => line.replace(/at byte.*:/, '…')),
    ['records of 000003.log, which is damaged … some of their names cannot be read'],
  );
  assert.ok(restored.includes(`tag ${app}:digit, which pointed to ${image}`));
  await rig.start();
  assert.deepEqual(await tagsOf(rig, app), [
    { tag: 'digit', digest: image },
    { tag: 'named', digest: named },
  ]);
});

test('a name that only a damaged record has is not trusted', async () => {
  await using rig = await Rig.open(buses);
  const older = await rig.gateway.pushImage(app, 'older', { tag: 'v8' });
  await rig.gateway.pushImage(app, 'newer', { tag: 'v8' });
  await rig.stop();
  const path = await fileOf(rig, '.log');
  const log = await readFile(path);
  const at = log.lastIndexOf(`t!${app}!v8`) + `t!${app}!v`.length;
  log[at] = (log[at] as number) ^ 0x01;
  // The event does not have the name either.
  const event = log.indexOf('tag.moved', at);
  log[event] = (log[event] as number) ^ 0x01;
  await writeFile(path, log);
  const { lost } = await repair(rig);
  assert.match(lost[0] ?? '', /some of their names cannot be read$/);
  await rig.start();
  assert.deepEqual(await tagsOf(rig, app), [{ tag: 'v8', digest: older }]);
});

test("a record that can't be restored is listed by name", async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage(app, 'first', { tag: 'first' });
  const second = await rig.gateway.pushImage(app, 'second', { tag: 'second' });
  await rig.stop();
  // The tag points to another digest now, and its event is not an event any more.
  const record = `t!${app}!second`;
  await flip(rig, record, record.length + 20);
  await flip(rig, 'tag.moved', 0, record);
  const report = await repair(rig);
  assert.deepEqual(report.lost, [`tag ${app}:second`]);
  const text = await readFile(join(report.oldMetadata, '../report.txt'), 'utf8');
  assert.match(text, /Lost:\n {2}tag line\/app:second/);
  await rig.start();
  assert.equal(digestOf(await rig.gateway.readManifest(app, second)), second, 'it can be read by its digest');
});

test('a readable record that is invalid is dropped and listed', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(app, 'well', { tag: 'well' });
  await rig.stop();
  {
    await using records = await RebuiltRecords.open(join(rig.data, 'metadata'));
    await records.write([
      { type: 'put', key: `t!${app}!sick`, value: 'no digest' },
      { type: 'put', key: `b!${digest.slice(0, 20)}`, value: { size: 1 } },
      { type: 'put', key: 'a!ci', value: { enabled: 'yes' } },
    ]);
  }
  const { lost } = await repair(rig, { force: true });
  for (const key of [`t!${app}!sick`, `b!${digest.slice(0, 20)}`, 'a!ci']) {
    assert.ok(lost.includes(`record ${key}: invalid`), `${key}: ${lost}`);
  }
  await rig.start();
  assert.deepEqual(
    (await tagsOf(rig, app)).map(({ tag }) => tag),
    ['well'],
  );
});
