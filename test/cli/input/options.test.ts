import assert from 'node:assert/strict';
import { test } from 'node:test';
import { overridesOf, resolveConfiguration, type UpOptions } from '../../../cli/input/options.ts';
import { Refusal } from '../../../cli/terminal/refusal.ts';

const settings = (options: Partial<UpOptions>, text?: string) => {
  const all = { data: 'data', ...options };
  return resolveConfiguration(all, overridesOf(all), text, { readable: () => true }).configuration;
};
const refused = (pattern: RegExp) => (error: unknown) =>
  error instanceof Refusal && error.exitCode === 2 && pattern.test(error.message);

test('every option sets its field of the document', () => {
  const overrides = overridesOf({
    data: 'data',
    listen: '127.0.0.1:1',
    name: 'n',
    mode: 'ReadOnly',
    parent: 'http://a',
    parentUsername: 'u',
    parentPasswordFile: '/p',
    parentCa: '/ca',
    repository: ['a', 'b/*'],
    schedule: '1 2 * * *',
    window: 'PT2H',
    bandwidth: '2Mbit',
    eventTtl: 'P7D',
    syncers: '3',
    gateways: '2',
    loginServer: 'registry.example:5000',
    parentCertificate: '/pc',
    parentKey: '/pk',
    tlsCertificate: '/c',
    tlsKey: '/k',
    trustedProxy: ['10.0.0.0/8'],
    challenge: 'Basic',
    anonymousPull: ['public/*'],
    reserve: '2GB',
  });
  assert.deepEqual(overrides, {
    listen: '127.0.0.1:1',
    name: 'n',
    mode: 'ReadOnly',
    parent: {
      url: 'http://a',
      username: 'u',
      passwordFile: '/p',
      caFile: '/ca',
      certificateFile: '/pc',
      keyFile: '/pk',
    },
    repositories: ['a', 'b/*'],
    schedule: '1 2 * * *',
    window: 'PT2H',
    bandwidth: '2Mbit',
    eventTtl: 'P7D',
    syncers: 3,
    gateways: 2,
    loginServer: 'registry.example:5000',
    tls: { certificateFile: '/c', keyFile: '/k' },
    trustedProxies: ['10.0.0.0/8'],
    challenge: 'Basic',
    anonymousPull: ['public/*'],
    reserve: '2GB',
  });
  assert.deepEqual(overridesOf({ data: 'data' }), {});
});

test('paths of files are relative to the working directory', () => {
  const { parent, tls } = overridesOf({
    data: 'data',
    parentPasswordFile: 'p',
    parentCa: 'c',
    parentKey: 'pk',
    tlsKey: 'k',
  });
  assert.equal(parent?.caFile, `${process.cwd()}/c`);
  assert.equal(parent?.passwordFile, `${process.cwd()}/p`);
  assert.equal(parent?.keyFile, `${process.cwd()}/pk`);
  assert.equal(tls?.keyFile, `${process.cwd()}/k`);
});

test('an option selects repositories that have another name here', () => {
  const { repositories } = settings({ parent: 'http://a', repository: ['line/*=cell/*', 'other'] });
  assert.deepEqual(
    repositories.map(({ name, from }) => [name, from]),
    [
      ['cell/*', 'line/*'],
      ['other', undefined],
    ],
  );
  assert.throws(() => settings({ repository: ['a='] }), refused(/^repositories\.0\.as "" is not valid/));
});

test('options take precedence over the file', () => {
  const { name, syncers } = settings({ name: 'option', config: '/etc/t.yaml' }, 'name: file\nsyncers: 2');
  assert.deepEqual([name, syncers], ['option', 2]);
  const { tls } = settings(
    { tlsKey: '/new.key', config: '/etc/t.yaml' },
    'tls: { certificateFile: a.crt, keyFile: a.key }',
  );
  assert.deepEqual(tls, { certificateFile: '/etc/a.crt', keyFile: '/new.key' });
});

test('an option that is not valid is refused with the name of its field', () => {
  assert.throws(() => settings({ syncers: 'many' }), refused(/^syncers "many" .* 1 to 64/));
  assert.throws(() => settings({ mode: 'x' }), refused(/^mode "x" .* ReadWrite or ReadOnly/));
  assert.throws(() => settings({ parentUsername: 'u' }), refused(/^parent\.url is missing/));
  assert.throws(
    () => settings({ tlsKey: '/k' }),
    refused(/^tls\.certificateFile is missing: write the path/),
  );
  assert.throws(() => settings({ gateways: '0' }), refused(/^gateways 0 .* 1 to 16/));
  assert.throws(() => settings({ window: 'PT1H' }), refused(/^schedule is missing: .* "0 2 \* \* \*"/));
  assert.throws(() => settings({ bandwidth: 'fast' }), refused(/^bandwidth "fast" .* such as 2Mbit/));
  assert.throws(() => settings({ eventTtl: 'PT1H' }), refused(/^eventTtl "PT1H" .* P1D to P90D/));
  assert.throws(() => settings({ reserve: 'much' }), refused(/^reserve "much" .* such as 512MiB/));
  assert.throws(() => settings({ challenge: 'Digest' }), refused(/^challenge "Digest" .* Bearer or Basic/));
  assert.throws(
    () => settings({ trustedProxy: ['here'] }),
    refused(/^trustedProxies "here" .* 10\.0\.0\.0\/8/),
  );
  assert.throws(() => settings({ anonymousPull: ['A'] }), refused(/^anonymousPull/));
  assert.throws(() => settings({ loginServer: 'https://a' }), refused(/^loginServer .* host:port/));
  assert.throws(() => settings({}, 'colour: red'), refused(/^colour is not a field/));
});
