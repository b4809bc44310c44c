import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { patienceSignal } from '../support/until.ts';

const root = join(import.meta.dirname, '../..');
/** The command of the README, without what installs dependencies; and the program itself, which gets its signals. */
const command = ['npm', 'run', '--silent', '--ignore-scripts', 'demo', '--'];
const program = [process.execPath, join(root, 'deploy/demo/demo.ts')];

/** Runs the demo with a folder of its own for temporary files. `onText` gets all of its output so far. */
async function demo(
  [run, ...before]: string[],
  parameters: string[],
  onText: (text: string, pid: number) => void = () => {},
) {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'terrace-demo-test-'));
  stack.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }));
  const { NODE_TEST_CONTEXT: _context, ...inherited } = process.env;
  const child = spawn(run as string, [...before, '--fast', ...parameters], {
    cwd: root,
    env: { ...inherited, TMPDIR: folder, COLUMNS: '80' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  stack.defer(() => void child.kill('SIGKILL'));
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (data) => {
      text += data;
      onText(text, child.pid as number);
    });
  }
  const [code] = await once(child, 'close', { signal: patienceSignal(90_000) });
  // npm writes its compiled code there, too.
  const remaining = (await readdir(folder)).filter((name) => name.startsWith('terrace'));
  return { code, text, remaining };
}

/** The lines of the story, in their order. */
const story = [
  /^1\/5 An image goes down/,
  /site has it\.$/,
  /A client pulls it from the cell/,
  /^2\/5 An update/,
  /CUT: the link between site and area has failed/,
  /A client pulls line\/app:1 from the cell, below the cut/,
  /RESTORED: the link is back/,
  /area and cell have line\/app:2/,
  /of content have crossed the link, .* of it twice/,
  /^3\/5 A push at the bottom/,
  /The cloud has it/,
  /^4\/5 A conflict/,
  /area finds the conflict\. The parent wins/,
  /in the cell, current is what the cloud had/,
  /in the cloud, current is what the cloud had/,
  /All layers report that they are equal to their parents/,
  /^5\/5 The end/,
  /^ {3}area +7\.5 MB +2\d\d kB +\d/,
  /page of site: http:\/\/127\.0\.0\.1:\d+\/ui\/$/,
];

test('the demo tells its story to the end, on 80 columns, and leaves nothing behind', async () => {
  const { code, text, remaining } = await demo(command, []);
  assert.equal(code, 0, text);
  const lines = text.split('\n');
  let at = 0;
  for (const expected of story) {
    const found = lines.findIndex((line, index) => index >= at && expected.test(line));
    assert.ok(found >= 0, `${expected} after line ${at} of:\n${text}`);
    at = found + 1;
  }
  assert.deepEqual(
    lines.filter((line) => line.length > 80),
    [],
  );
  assert.deepEqual(remaining, []);
});

test('a demo with a Terrace as its cloud ends at once when it is interrupted, and leaves nothing behind', async () => {
  let isInterrupted = false;
  const { code, text, remaining } = await demo(program, ['--cloud', 'terrace'], (output, pid) => {
    if (isInterrupted || !output.includes('CUT:')) return;
    isInterrupted = true;
    process.kill(pid, 'SIGINT');
  });
  assert.equal(code, 130, text);
  assert.doesNotMatch(text, /^3\/5/m);
  assert.deepEqual(remaining, []);
});

test('an option that does not exist is refused', async () => {
  const { code, text } = await demo(program, ['--nothing']);
  assert.equal(code, 2);
  assert.match(text, /--nothing/);
});
