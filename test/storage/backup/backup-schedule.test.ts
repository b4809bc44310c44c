import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { BackupSchedule } from '../../../services/storage/backup/backup-schedule.ts';
import { openSource } from '../../../services/storage/backup/target/backup-source.ts';
import { quiet } from '../../support/bus.ts';
import { sharedFolder } from '../../support/shared-folder.ts';
import { until } from '../../support/until.ts';
import { Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const buses = await sharedBuses();
const root = sharedFolder('backup-schedule');

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

test('backups are made by schedule, again after a failure, after a start that missed one, and old ones go', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage('line/app', 'one', { tag: 'v1' });
  // Its parent folder is missing at first.
  const target = join(root, 'medium/b');
  const settings = { target, schedule: '0 1 * * *', keep: 2 };
  const { backups } = rig.storage;
  const options = { backups, log: quiet, now: () => rig.now, pollMs: 5, spreadMs: 0, catchUpMs: 0 };
  const types = () => rig.events.map(([type]) => type).filter((type) => type.startsWith('backup.'));
  {
    using schedule = new BackupSchedule(options);
    schedule.set(settings);
    assert.equal(backups.status?.schedule?.next, rig.now + HOUR);
    rig.now += HOUR;
    await until(() => types().at(-1) === 'backup.failed');
    const { failed } = backups.status ?? {};
    assert.match(failed?.reason ?? '', /mount the medium/);
    const next = () => backups.status?.schedule?.next ?? 0;
    await until(() => next() > rig.now && next() <= rig.now + 5 * 60_000);
    await mkdir(join(root, 'medium'));
    rig.now += 5 * 60_000;
    await until(() => types().at(-1) === 'backup.completed');
    assert.equal(backups.status?.failed, undefined);
    await until(() => next() > rig.now + HOUR);
    const [, data] = rig.events.find(([type]) => type === 'backup.completed') ?? [];
    assert.equal((data as { account?: string }).account, '_schedule');
    const count = types().length;
    rig.now += DAY;
    await until(() => types().length > count);
    // It ends after its event, and a backup that finds it running is tried again by the clock, which stands still.
    await until(() => backups.status?.running === undefined);
  }
  // Off for three days.
  rig.now += 3 * DAY;
  const count = types().length;
  assert.equal(backups.status?.schedule?.late, true);
  {
    using schedule = new BackupSchedule(options);
    schedule.set(settings);
    await until(() => types().length > count);
    await until(() => backups.status?.schedule?.late === undefined);
    schedule.set(undefined);
    assert.equal(backups.status?.schedule, undefined);
  }
  await using source = await openSource(target);
  assert.equal((await source.ids()).length, 2);
});
