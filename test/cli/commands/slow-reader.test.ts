import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';

/** Whoever reads slower than a command writes gets all of its output: `terrace events --json | program`. */

const CLI = join(import.meta.dirname, '../../../cli');
const LENGTH = 2 * 1024 * 1024;

const program = (parameters: string[]) => `
  const { print } = await import('${CLI}/terminal.ts');
  print('x'.repeat(${LENGTH - 1}));
  const { main } = await import('${CLI}/commands.ts');
  await main(${JSON.stringify(parameters)});
`;

for (const [what, parameters, said, exitCode] of [
  ['a command that fails', ['status', '--data', '/proc/none'], /terrace: /, 1],
  ['a command line that is not valid', ['events', '--since', 'never'], /--help lists/, 2],
] as const) {
  test(`${what} ends when all that it said before is read`, async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', program([...parameters])], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const exited = once(child, 'exit');
    let error = '';
    for await (const data of child.stderr) {
      error += data;
      if (said.test(error)) break;
    }
    assert.equal((await text(child.stdout)).length, LENGTH);
    assert.equal((await exited)[0], exitCode);
  });
}

test('a command that is done ends with the code that it has set, and all of its output', async () => {
  const well = ['iotedge', 'manifest', 'pass-through', '--name', 'line-1'];
  const child = spawn(
    process.execPath,
    ['--input-type=module', '-e', `process.exitCode = 3; ${program(well)}`],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const exited = once(child, 'exit');
  const said = await text(child.stdout);
  assert.equal((await exited)[0], 3);
  assert.ok(JSON.parse(said.slice(LENGTH)).modulesContent);
});
