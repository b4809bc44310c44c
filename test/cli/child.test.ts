import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ALREADY_ACTIVATED, childPath } from '#proto/children.ts';
import { tagMoved } from '#proto/content.ts';
import { LINK_KEY, linkStatus } from '#proto/status.ts';
import { pushImage } from '../support/image.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { run } from '../support/terrace.ts';

/** Layers below: made, activated, listed, moved to another machine. */

const stack = new AsyncDisposableStack();
let top: TestLayer;
let folder: string;
before(async () => {
  top = stack.use(await testLayer({ name: 'top', compact: true }));
  folder = await mkdtemp(join(tmpdir(), 'terrace-child-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
});
after(() => stack.disposeAsync());

const child = (...words: string[]) => run('child', ...words, '--data', top.data);

async function create(
  name: string,
  ...more: string[]
): Promise<{ username: string; passwordFile: string; password: string }> {
  const { code, stdout, text } = await child('create', name, ...more);
  assert.equal(code, 0, text);
  const passwordFile = join(folder, name);
  await writeFile(passwordFile, stdout);
  return { username: name, passwordFile, password: stdout.trim() };
}

async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  for (const end = Date.now() + 60_000; !(await condition()); await sleep(200))
    assert.ok(Date.now() < end, what);
}

test('a ReadOnly layer has ReadOnly children, and a mode or a name that is none is refused in words', async () => {
  for (const [words, said] of [
    [['create', 'Line'], /name "Line" is not valid: use lower-case/],
    [['create', 'line', '--mode', 'Mirrored'], /--mode "Mirrored" is not valid: write ReadOnly or ReadWrite/],
    [['create', 'line', '--repository', 'A/*'], /repositories\/A\/\*\/content\/read" is not valid/],
  ] as const) {
    const { code, text } = await child(...words);
    assert.notEqual(code, 0);
    assert.match(text, said);
  }
  await using readOnly = await testLayer({ name: 'mirror', mode: 'ReadOnly', compact: true });
  const { code, text } = await run('child', 'create', 'line', '--mode', 'ReadWrite', '--data', readOnly.data);
  assert.equal(code, 1);
  assert.match(text, /this layer is ReadOnly, so the layers below it must be: use --mode ReadOnly/);
});

test('a second instance of a child is refused until the first is deactivated, and then that one is', async () => {
  await pushImage(top.host, 'app', 'v1');
  const { password: _password, ...login } = await create('line-7', '--repository', 'app');
  await create('pusher', '--mode', 'ReadWrite');
  const parent = { url: top.url, ...login };
  await using first = await testLayer({ name: 'line-7', parent, schedule: '* * * * *', compact: true });
  await first.event(tagMoved, ({ tag }) => tag === 'v1');

  await using second = await testLayer({ name: 'line-7', parent, compact: true });
  const refused = await second.sync();
  assert.equal(refused.failures[0]?.code, 'already-activated');
  assert.match(refused.failures[0]?.reason ?? '', /run "terrace child deactivate line-7" there/);
  const state = await second.bus().get(linkStatus, LINK_KEY);
  assert.match(`${state?.value.state} ${state?.value.detail}`, /^Unhealthy .*ALREADY_ACTIVATED/);
  assert.equal((await first.sync()).ok, true);

  const listed = await child('list');
  assert.match(listed.stdout, /^line-7 +ReadOnly +app +since \d+ s +\d+ s ago/m);
  assert.match(listed.stdout, /^pusher +ReadWrite +\* +no$/m);

  assert.match((await child('deactivate', 'line-7')).stdout, /No instance of line-7 is active now/);
  assert.equal((await second.sync()).ok, true);
  const said = async () => (await first.sync()).failures[0]?.code === 'already-activated';
  await until(said, 'the first one is refused');
});

test('over HTTP, the refusal is the one that existing tools know', async () => {
  const { password } = await create('cell');
  const put = (instance: string, name = 'cell') =>
    fetch(`${top.url}${childPath(name)}`, {
      method: 'PUT',
      headers: { authorization: `Basic ${Buffer.from(`cell:${password}`).toString('base64')}` },
      body: JSON.stringify({ instance }),
    });
  assert.equal((await put('one')).status, 200);
  assert.equal((await put('one')).status, 200);
  const other = await put('two');
  assert.equal(other.status, 409);
  assert.deepEqual(await other.json(), { errors: [ALREADY_ACTIVATED] });
  assert.equal((await put('one', 'line-7')).status, 403);
  assert.equal((await put('')).status, 400);
});
