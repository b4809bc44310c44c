import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReceivedEvent } from '#proto/contract/envelope.ts';
import { summary } from '../../../../cli/commands/sync/sync.ts';
import { barView, lineView } from '../../../../cli/text/progress.ts';
import { runCommandHere } from '../../../support/command-line.ts';
import { testLayer } from '../../../support/layer.ts';
import { startCloud } from '../../../support/registry/cloud.ts';
import { pushImage } from '../../../support/registry/image.ts';
import { runCommand } from '../../../support/terrace.ts';

const digest = `sha256:${'ab'.repeat(32)}`;
const eventOf = (type: string, data: object): ReceivedEvent<unknown> => ({
  specversion: '1.0',
  id: '1',
  source: '/layers/a/b',
  type: `terrace.${type}`,
  time: '',
  data: { digest, repository: 'a/b', tag: 'v1', ...data },
});
const steps = [
  eventOf('pass.started', {}),
  eventOf('pass.planned', { actions: 1 }),
  eventOf('image.started', { blobs: 3, bytes: 5_000_000, largest: [digest] }),
  eventOf('transfer.started', { size: 5_000_000, present: 1_000_000 }),
  eventOf('transfer.progressed', { size: 5_000_000, done: 2_000_000 }),
  eventOf('transfer.delayed', { reason: 'the parent is busy', until: Date.now() + 5_000 }),
  eventOf('transfer.finished', {}),
  eventOf('image.finished', {}),
];

test('without a terminal, each step is one line', () => {
  const lines: string[] = [];
  const view = lineView((line) => lines.push(line));
  for (const step of steps) view.onEvent(step);
  view.end();
  assert.deepEqual(lines, [
    'actions planned: 1',
    'a/b:v1: 3 blobs, 5.0 MB to pull',
    'sha256:abababababab: waits 5 s: the parent is busy',
    'a/b:v1: pulled',
  ]);
});

test('pushes, pauses, refusals and conflicts have lines of their own', () => {
  const lines: string[] = [];
  const view = lineView((line) => lines.push(line));
  for (const step of [
    eventOf('image.conflict', { winner: digest, loser: digest, loserTag: 'v1.conflict-a-b' }),
    eventOf('image.started', { direction: 'up', blobs: 2, bytes: 1_000_000 }),
    eventOf('transfer.paused', { direction: 'up' }),
    eventOf('image.finished', { direction: 'up' }),
    eventOf('image.finished', { direction: 'down', tag: null }),
    eventOf('image.parked', { reason: 'the tag is locked', retry: Date.now() + 120_000 }),
  ]) {
    view.onEvent(step);
  }
  assert.deepEqual(lines, [
    'a/b:v1: changed on both sides: sha256:abababababab has the tag, sha256:abababababab stays as v1.conflict-a-b',
    'a/b:v1: 2 blobs, 1.0 MB to push',
    'sha256:abababababab: paused until the next window',
    'a/b:v1: pushed',
    'a/b@sha256:abababababab: pulled',
    'a/b:v1: refused by the parent: the tag is locked; next attempt in 2 min',
  ]);
});

test('on a terminal, each image has a bar with its share and the time left, and all have a total with the rate', async () => {
  let text = '';
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += chunk;
      done();
    },
  });
  const terminal = Object.assign(stream, {
    isTTY: true,
    columns: 200,
    rows: 50,
  }) as unknown as NodeJS.WriteStream;
  const view = barView(undefined, terminal);
  for (const step of steps.slice(0, 4)) view.onEvent(step);
  for (
    let done = 1_000_000;
    !/total +0 of 1 done, \d+ % of 5\.0 MB, [\d.]+ [kM]B\/s, \d+ (s|min) left/.test(text);
    await sleep(50)
  ) {
    done += 100_000;
    assert.ok(done < 5_000_000, text);
    view.onEvent(eventOf('transfer.progressed', { size: 5_000_000, done }));
  }
  for (const step of steps.slice(6)) view.onEvent(step);
  view.end();
  assert.match(text, /↓ a\/b:v1 {2}█+░+ {2}\d+ %, \d+ (s|min) left/);
  assert.match(text, /a\/b:v1: pulled/);
});

test('the summary describes the result of a pass in sentences', () => {
  const result = {
    pass: 'p',
    ok: true,
    taken: 1,
    dropped: 0,
    sent: 0,
    withdrawn: 0,
    parked: 0,
    failed: 0,
    failures: [],
    ms: 2_000,
  };
  assert.equal(summary(result), 'In sync with the parent: 1 image pulled in 2 s.');
  const failures = [{ repository: 'a', tag: 'b', code: 'parent-invalid', reason: 'wrong bytes' }];
  assert.equal(
    summary({
      ...result,
      ok: false,
      taken: 2,
      dropped: 3,
      sent: 0,
      withdrawn: 0,
      parked: 0,
      failed: 2,
      failures,
    }),
    'failed: a:b: wrong bytes (parent-invalid)\n… and 1 more\nNot in sync with the parent: 2 images pulled, 3 dropped, 2 failed in 2 s.',
  );
  const pushed = { ...result, taken: 0, sent: 2, withdrawn: 1, parked: 1 };
  assert.equal(
    summary({ ...pushed, ok: false }),
    'The parent refuses 1 change: terrace status shows why, terrace retry tries again.\nNot in sync with the parent: 0 images pulled, 2 pushed, 1 withdrawn, 1 parked in 2 s.',
  );
  assert.equal(
    summary({ ...result, ok: false, ended: 'window' }),
    'The window closed; the next one continues from here: 1 image pulled in 2 s.',
  );
});

describe('terrace sync', { concurrency: true }, () => {
  test('terrace sync returns when the pass has ended, with 0, or with 1 and the reason', async () => {
    await using cloud = await startCloud();
    await using layer = await testLayer({ parent: cloud.url, compact: 'hosted' });
    // Otherwise the first pass, after the start, could take the image.
    await layer.sync();
    await pushImage(cloud.host, 'a/b', 'v1', { layers: [100_000] });
    const succeeded = await runCommand('sync', '--data', layer.data);
    assert.equal(succeeded.code, 0, succeeded.text);
    assert.match(succeeded.text, /a\/b:v1: pulled/);
    // A pass that loses its coordinator is followed by another one, which has nothing left to do.
    assert.match(succeeded.text, /In sync with the parent: (?:1 image|0 images) pulled in \d+ s\./);
    assert.equal((await fetch(`${layer.url}/v2/a/b/manifests/v1`)).status, 200);
    const { text } = await runCommandHere('status', '--data', layer.data);
    assert.match(
      text,
      /Parent http.*: Online\n {2}in sync with the parent.*\n {2}last successful pass \d+ s ago/,
    );
    assert.match(text, /Holds 1 repository, 1 tag, /);

    await cloud.kill();
    const failed = await runCommandHere('sync', '--data', layer.data);
    assert.equal(failed.code, 1, failed.text);
    assert.match(failed.text, /failed: .+\nNot in sync with the parent/);
  });

  test('terrace sync continues when the coordinator is killed', async () => {
    await using cloud = await startCloud();
    await using layer = await testLayer({ parent: cloud.url, syncers: 2 });
    await pushImage(cloud.host, 'a/b', 'v1', { layers: [1_000, 20_000_000] });
    const syncing = runCommand('sync', '--data', layer.data);
    const { passStarted } = await import('#proto/sync/passes.ts');
    const { coordinator } = await layer.event(passStarted, ({ cause }) => cause === 'request');
    const [program] = Object.entries(layer.pids()).find(([, pid]) => coordinator.includes(`-${pid}-`)) ?? [];
    layer.killWithoutWaiting(program as string);
    const { code, text } = await syncing;
    assert.equal(code, 0, text);
    assert.equal((await fetch(`${layer.url}/v2/a/b/manifests/v1`)).status, 200);
  });

  test('terrace sync outside the window names the remedy --now, and --now makes the pass', async () => {
    await using cloud = await startCloud();
    // Opens once a year, half a year away from now.
    const month = ((new Date().getUTCMonth() + 6) % 12) + 1;
    const window = { schedule: `0 0 1 ${month} *`, window: 'PT1M' };
    await using layer = await testLayer({ parent: cloud.url, ...window, compact: 'hosted' });
    await pushImage(cloud.host, 'a/b', 'v1', { layers: [1_000] });
    const refused = await runCommandHere('sync', '--data', layer.data);
    assert.equal(refused.code, 75, refused.text);
    assert.match(refused.text, /^terrace: the window is closed .*--now/m);
    const { text } = await runCommandHere('status', '--data', layer.data);
    assert.match(text, /^ {2}window closed until \d{4}-\d\d-01 00:00 UTC \(in \d+ d/m);
    const done = await runCommandHere('sync', '--full', '--now', '--data', layer.data);
    assert.equal(done.code, 0, done.text);
    assert.match(done.text, /In sync with the parent: 1 image pulled/);
  });
});
