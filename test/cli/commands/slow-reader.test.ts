import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';

/** A reader that is slower than the command gets all of its output: `terrace events --json | program`. */

const CLI = join(import.meta.dirname, '../../../cli');
const LENGTH = 2 * 1024 * 1024;

const program = (parameters: string[]) => `
  const { print } = await import('${CLI}/terminal/terminal.ts');
  print('x'.repeat(${LENGTH - 1}));
  const { main } = await import('${CLI}/command-line.ts');
  await main(${JSON.stringify(parameters)});
`;

for (const [what, parameters, message, exitCode] of [
  ['a command that fails', ['status', '--data', '/proc/none'], /terrace: /, 69],
  ['a command line that is not valid', ['events', '--since', 'never'], /terrace: /, 2],
] as const) {
  test(`${what} ends once all output that it wrote before is read`, async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', program([...parameters])], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const exited = once(child, 'exit');
    let error = '';
    for await (const data of child.stderr) {
      error += data;
      if (message.test(error)) break;
    }
    assert.equal((await text(child.stdout)).length, LENGTH);
    assert.equal((await exited)[0], exitCode);
  });
}

test('a finished command ends with the exit code that it has set, after all of its output', async () => {
  const parameters = ['iotedge', 'manifest', 'pass-through', '--name', 'line-1'];
  const child = spawn(
    process.execPath,
    ['--input-type=module', '-e', `process.exitCode = 3; ${program(parameters)}`],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const exited = once(child, 'exit');
  const output = await text(child.stdout);
  assert.equal((await exited)[0], 3);
  assert.ok(JSON.parse(output.slice(LENGTH)).modulesContent);
});
