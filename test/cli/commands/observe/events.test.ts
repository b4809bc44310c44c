import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { tagMoved } from '#proto/content/content-events.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import { reportPath } from '#proto/status/layers-below.ts';
import { sinceOf, tailOf } from '../../../../cli/commands/observe/events.ts';
import { eventText, gapText, isOf } from '../../../../cli/text/event-text.ts';
import { runCommandHere } from '../../../support/command-line.ts';
import { type TestLayer, testLayer } from '../../../support/layer.ts';
import { pushImage } from '../../../support/registry/image.ts';
import { program, runCommand, startCommand } from '../../../support/terrace.ts';

let layer: TestLayer;
before(async () => {
  layer = await testLayer({ compact: true, name: 'line-7' });
});
after(() => layer?.stop());

const push = async (tag: string) => {
  const { digest } = await pushImage(layer.host, 'app', tag);
  await layer.event(tagMoved, (moved) => moved.tag === tag);
  return digest;
};

test('events are printed as lines or as CloudEvents', async () => {
  const digest = await push('v1');
  const { stdout, code } = await runCommand('events', '--data', layer.data, '--type', 'tag');
  assert.equal(code, 0);
  assert.match(stdout, /^\S+Z {2} *\d+ {2}line-7 {2}tag\.moved {2}app:v1@sha256:[0-9a-f]{12}\n$/);
  const json = await runCommandHere('events', '--data', layer.data, '--type', 'tag.moved', '--json');
  const event = JSON.parse(json.stdout);
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  assert.deepEqual(event.data, { repository: 'app', tag: 'v1', digest, mediaType });
  assert.equal(event.specversion, '1.0');
  assert.equal(event.type, 'terrace.tag.moved');
  assert.equal(event.layer, 'line-7');
  const since = await runCommandHere('events', '--data', layer.data, '--since', event.sequence, '--json');
  assert.equal(JSON.parse(since.stdout.split('\n')[0] as string).id, event.id);
  const tail = await runCommandHere('events', '--data', layer.data, '--type', 'tag', '--tail', '1', '--json');
  assert.equal(JSON.parse(tail.stdout).id, event.id);
  const two = await runCommandHere('events', '--data', layer.data, '--tail', '2', '--json');
  assert.equal(two.stdout.trim().split('\n').length, 2);
});

test('--tail takes a number', () => {
  assert.equal(tailOf('10'), 10);
  for (const text of ['0', '-1', '1.5', 'x', '100001'])
    assert.throws(() => tailOf(text), /write a number from 1/);
});

test('--follow prints new events', async () => {
  await using following = startCommand(
    'events',
    '--data',
    layer.data,
    '--follow',
    '--since',
    '10m',
    '--type',
    'tag',
  );
  await push('followed');
  await following.untilOutput(/app:followed/);
  following.child.kill('SIGINT');
  assert.equal(await following.exited(), 0);
});

test('a closed output ends the command silently, an output that is full with the reason', async () => {
  const { stdout, stderr } = spawnSync(
    'bash',
    ['-c', `"${program}" events --json --data "${layer.data}" | true; echo "\${PIPESTATUS[0]}"`],
    { encoding: 'utf8' },
  );
  assert.deepEqual([stdout, stderr], ['0\n', '']);
  const full = spawnSync('bash', ['-c', `"${program}" events --json --data "${layer.data}" > /dev/full`], {
    encoding: 'utf8',
  });
  assert.equal(full.status, 1);
  assert.match(JSON.parse(full.stderr).error.message, /^the output can't be written \(ENOSPC\): [^\n]+$/);
});

test('--since takes a sequence number, an age or a date', () => {
  const now = Date.UTC(2030, 0, 2);
  assert.equal(sinceOf('17', undefined, now), 17);
  assert.deepEqual(sinceOf('2h', undefined, now), new Date(now - 7_200_000));
  assert.deepEqual(sinceOf('1d', undefined, now), new Date(now - 86_400_000));
  assert.deepEqual(sinceOf('2029-05-01T12:00Z'), new Date(Date.UTC(2029, 4, 1, 12)));
  for (const invalid of ['', '2x', 'h', '-1', 'yesterday', '2029-13-01'])
    assert.throws(() => sinceOf(invalid), /write an age/);
});

test('a line has the type, the subject and the progress of an event', () => {
  const event = (type: string, data: object): Envelope => ({
    specversion: '1.0',
    id: 'a-1',
    source: '/layers/line-7/syncer-1',
    type: `terrace.${type}`,
    time: '2030-01-01T00:00:00.000Z',
    data,
  });
  const digest = `sha256:${'ab'.repeat(32)}`;
  const moving = event('transfer.progressed', {
    repository: 'app',
    digest,
    done: 5_000_000,
    size: 20_000_000,
    rate: 250_000,
    direction: 'down',
    pass: 'x',
  });
  assert.equal(
    eventText(12, moving),
    '2030-01-01T00:00:00.000Z      12  line-7  transfer.progressed  app@sha256:abababababab  5.0 MB of 20.0 MB  250 kB/s  direction=down',
  );
  const delta = { digest, size: 3_100_000 };
  const blob = { repository: 'app', digest, size: 49_600_000, direction: 'down', delta };
  const textOf = (type: string, data: object) => eventText(12, event(type, data)).split('line-7  ')[1];
  assert.equal(
    textOf('transfer.progressed', { ...blob, done: 1_000_000 }),
    'transfer.progressed  app@sha256:abababababab  1.0 MB of 3.1 MB for 49.6 MB  direction=down',
  );
  assert.equal(
    textOf('transfer.finished', { ...blob, saved: { by: 'delta', bytes: 46_500_000, cpuMs: 900 } }),
    'transfer.finished  app@sha256:abababababab  3.1 MB instead of 49.6 MB (delta)  direction=down',
  );
  const made = { repository: 'app', to: digest, toSize: 49_600_000, from: [digest, digest] };
  assert.equal(
    textOf('delta.made', { ...made, digest, size: 3_100_000, kind: 'gzip', cpuMs: 1_200 }),
    'delta.made  app@sha256:abababababab  3.1 MB instead of 49.6 MB  from=sha256:abababababab,sha256:abababababab  digest=sha256:abababababab  kind=gzip  cpuMs=1200',
  );
  assert.equal(
    textOf('delta.failed', { ...made, from: undefined, poor: true, code: 'poor' }),
    'delta.failed  app@sha256:abababababab  49.6 MB  poor=true  code=poor',
  );
  assert.ok(isOf(moving, 'transfer') && isOf(moving, 'transfer.progressed') && !isOf(moving, 'trans'));
  assert.equal(gapText({ from: 3, to: 3, reason: 'expired' }), 'event 3 was deleted');
  assert.equal(
    gapText({ from: 3, reason: 'lost' }),
    'events from 3 on are lost: the event store was replaced',
  );
});

/** Reports an event as the child does. */
async function report(child: string, type: string, data: object): Promise<void> {
  const below: Envelope = {
    specversion: '1.0',
    id: 'storage-1',
    source: '/layers/cell-1/storage',
    type: `terrace.${type}`,
    time: '2030-01-01T00:00:00.000Z',
    layer: 'cell-1',
    data,
  };
  const answer = await fetch(`${layer.url}${reportPath(child)}`, {
    method: 'POST',
    body: JSON.stringify({ made: 'm', after: 0, events: [{ sequence: 1, event: below }] }),
  });
  assert.equal(answer.status, 200);
}

test('events of layers below are printed with the path to the layer, and selected by its name', async () => {
  const digest = `sha256:${'ab'.repeat(32)}`;
  await report('line', 'tag.moved', { repository: 'app', tag: 'below', digest });
  const { stdout } = await runCommandHere('events', '--data', layer.data, '--layer', 'cell-1');
  assert.match(stdout, /^\S+Z {2} *\d+ {2}line\/cell-1 {2}tag\.moved {2}app:below@sha256:(ab){6}\n$/);
});

test('a type that does not exist is refused, and with --any-type selects events of a later version below', async () => {
  const refused = await runCommand('events', '--data', layer.data, '--type', 'tag', 'tag.move');
  assert.equal(refused.code, 2);
  assert.match(
    refused.text,
    /^terrace: --type "tag\.move" is not a type of events: did you mean tag\.moved\?/,
  );
  await report('later', 'tag.signed', { repository: 'app', tag: 'v1' });
  const wanted = ['events', '--data', layer.data, '--type', 'tag.signed'];
  assert.equal((await runCommandHere(...wanted)).code, 2);
  const { stdout } = await runCommandHere(...wanted, '--any-type');
  assert.match(stdout, /^\S+Z {2} *\d+ {2}later\/cell-1 {2}tag\.signed {2}app:v1\n$/);
});

test('lines of failures are coloured where --color says so, and their text stays the same', async () => {
  await report('failing', 'image.failed', {
    repository: 'app',
    tag: 'v1',
    code: 'denied',
    reason: '\u001b[2Jno',
  });
  const wanted = ['events', '--data', layer.data, '--type', 'image.failed'];
  const plain = (await runCommandHere(...wanted, '--color=never')).stdout;
  assert.match(
    plain,
    /^\S+Z {2} *\d+ {2}failing\/cell-1 {2}image\.failed {2}app:v1 {2}code=denied {2}reason= \[2Jno\n$/,
  );
  const painted = (await runCommandHere(...wanted, '--color=always')).stdout;
  assert.equal(painted, `\u001b[31m${plain.trimEnd()}\u001b[0m\n`);
  const json = (await runCommandHere(...wanted, '--color=always', '--json')).stdout;
  assert.equal(JSON.parse(json).type, 'terrace.image.failed');
  const piped = await runCommand(...wanted);
  assert.equal(piped.stdout, plain);
});
