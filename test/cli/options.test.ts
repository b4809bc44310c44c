import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationOf, overridesOf, type UpOptions } from '../../cli/options.ts';
import { Refusal } from '../../cli/refusal.ts';

const settings = (options: Partial<UpOptions>, text?: string) => {
  const all = { data: 'data', ...options };
  return configurationOf(all, overridesOf(all), text, () => true);
};
const refused = (pattern: RegExp) => (error: unknown) =>
  error instanceof Refusal && error.exitCode === 2 && pattern.test(error.message);

test('every option has its field', () => {
  const overrides = overridesOf({
    data: 'data',
    listen: '127.0.0.1:1',
    name: 'n',
    mode: 'ReadOnly',
    parent: 'http://a',
    parentUsername: 'u',
    parentPasswordFile: '/p',
    repository: ['a', 'b/*'],
    schedule: '1 2 * * *',
    syncers: '3',
  });
  assert.deepEqual(overrides, {
    listen: '127.0.0.1:1',
    name: 'n',
    mode: 'ReadOnly',
    parent: { url: 'http://a', username: 'u', passwordFile: '/p' },
    repositories: ['a', 'b/*'],
    schedule: '1 2 * * *',
    syncers: 3,
  });
  assert.deepEqual(overridesOf({ data: 'data' }), {});
});

test('the path of a password file starts from where the command was typed', () => {
  const { parent } = overridesOf({ data: 'data', parentPasswordFile: 'p' });
  assert.equal(parent?.passwordFile, `${process.cwd()}/p`);
});

test('options win over the file', () => {
  const { name, syncers } = settings({ name: 'option', config: '/etc/t.yaml' }, 'name: file\nsyncers: 2');
  assert.deepEqual([name, syncers], ['option', 2]);
});

test('an option that is not valid is refused by its field', () => {
  assert.throws(() => settings({ syncers: 'many' }), refused(/^syncers "many" .* 1 to 64/));
  assert.throws(() => settings({ mode: 'x' }), refused(/^mode "x" .* ReadWrite or ReadOnly/));
  assert.throws(() => settings({ parentUsername: 'u' }), refused(/^parent\.url is missing/));
  assert.throws(() => settings({}, 'colour: red'), refused(/^colour is not a field/));
});

test('a layer without accounts lets other machines in only when told so', () => {
  for (const listen of ['0.0.0.0:5000', '[::]:5000', '192.0.2.1:80', 'example:5000', '127.0.0.1.nip.io:1']) {
    assert.throws(() => settings({ listen }), refused(/--insecure-listen/), listen);
    assert.throws(() => settings({}, `listen: "${listen}"`), refused(/--insecure-listen/), listen);
    assert.equal(settings({ listen, insecureListen: true }).listen, listen);
  }
  for (const listen of ['127.0.0.1:1', 'localhost:1', '[::1]:1', '127.3.4.5:1']) {
    assert.equal(settings({ listen }).listen, listen);
  }
});
