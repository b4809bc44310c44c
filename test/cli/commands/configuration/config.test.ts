import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { parse } from 'yaml';
import type { ConfigurationField } from '#proto/document/field-report.ts';
import type { ShownConfiguration } from '../../../../cli/document/shown-fields.ts';
import { runCommandHere } from '../../../support/command-line.ts';
import { testLayer } from '../../../support/layer.ts';
import { program, startCommandWith } from '../../../support/terrace.ts';
import { until } from '../../../support/until.ts';

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'terrace-config-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

const shownBy = async (...parameters: string[]): Promise<ShownConfiguration> =>
  JSON.parse((await runCommandHere('config', 'show', '--json', ...parameters)).stdout);
const fieldOf = ({ fields }: ShownConfiguration, name: string): ConfigurationField | undefined =>
  fields.find(({ field }) => field === name);

test('config show has each field of a running layer with its source, and follows its document', async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, 'terrace.yaml');
  await writeFile(file, 'name: line\nconnections: 3\n');
  await using layer = await testLayer({ compact: 'hosted', configFile: file, conflict: 'layer-wins' });
  const shown = await shownBy('--data', layer.data);
  assert.equal(shown.running, true);
  assert.equal(shown.source, file);
  const sources = ['connections', 'conflict', 'eventTtl'].map((name) => {
    const { value, source } = fieldOf(shown, name) ?? {};
    return [name, value, source];
  });
  assert.deepEqual(sources, [
    ['connections', 3, 'file'],
    ['conflict', 'layer-wins', 'command line'],
    ['eventTtl', 'P2D', 'default'],
  ]);
  const { stdout } = await runCommandHere('config', 'show', '--data', layer.data);
  assert.match(stdout, /^connections +3 +file \S*terrace/m);

  await writeFile(file, 'name: line\nconnections: 4\n');
  await until(
    async () => fieldOf(await shownBy('--data', layer.data), 'connections')?.value === 4,
    'the changed document is in force',
  );
  await writeFile(file, 'connections: none\n');
  await until(
    async () => (await shownBy('--data', layer.data)).complaints.length > 0,
    'the complaint is shown',
  );
  const refused = await runCommandHere('config', 'show', '--data', layer.data);
  assert.match(
    refused.stdout,
    /The document is not valid; the previous one stays in force:\n {2}connections/,
  );
  assert.match(refused.stdout, /^connections +4 /m);
});

test('config show of a layer that does not run has what it would start with, and no secret', async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, 'terrace.yaml');
  const hash = `scrypt$14$8$1$${'A'.repeat(22)}$${'B'.repeat(43)}`;
  await writeFile(
    file,
    `listen: 127.0.0.1:6000\nmode: ReadOnly\nparent: { url: "https://above" }\ntokens: [{ name: ci, pull: "*", passwords: ["${hash}"] }]\n`,
  );
  const parameters = ['--data', folder.path, '--config', file, '--mode', 'ReadWrite'];
  const shown = await shownBy(...parameters);
  assert.equal(shown.running, false);
  assert.deepEqual(
    ['listen', 'mode', 'parent.url', 'reserve'].map((name) => fieldOf(shown, name)?.source),
    ['file', 'command line', 'file', 'default'],
  );
  assert.ok(!JSON.stringify(shown).includes('BBBB'));
  const yaml = (await runCommandHere('config', 'show', '--yaml', ...parameters)).stdout;
  assert.ok(!yaml.includes('BBBB'));
  assert.match(yaml, /^mode: "ReadWrite" # command line$/m);
  assert.equal(parse(yaml).parent.url, 'https://above');

  const settings = 'ConnectedRegistryName=cr;SyncTokenName=t;SyncTokenPassword=geheim;';
  const endpoint = 'ParentGatewayEndpoint=contoso.westus.data.azurecr.io;ParentEndpointProtocol=https';
  const env = {
    ACR_REGISTRY_CONNECTION_STRING: `${settings}${endpoint}`,
    ACR_REGISTRY_DATA_VOLUME: folder.path,
  };
  await using command = startCommandWith(env, 'config', 'show', '--json');
  assert.equal(await command.exited(), 0, command.text);
  assert.ok(!command.text.includes('geheim'));
  assert.equal(fieldOf(JSON.parse(command.stdout), 'parent.username')?.source, 'environment');
});

test('config check ends with 2 for a document that is not valid, and reads stdin', async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, 'terrace.yaml');
  await writeFile(file, 'mode: ReadOnly\nrepositories: [a, a]\n');
  const valid = await runCommandHere('config', 'check', file);
  assert.equal(valid.code, 0, valid.text);
  assert.match(valid.stdout, /terrace\.yaml:2:19: warning: repositories\.1 is the same/);
  assert.match(valid.stdout, /terrace\.yaml is valid, with 1 warning\.\n$/);
  assert.equal((await runCommandHere('config', 'check', '--strict', file)).code, 2);

  const child = spawn(program, ['config', 'check', '-', '--json'], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end('listn: 127.0.0.1:1\n');
  const [stdout, code] = await Promise.all([
    text(child.stdout),
    new Promise((resolve) => child.on('close', resolve)),
  ]);
  assert.equal(code, 2);
  assert.deepEqual(JSON.parse(stdout), {
    file: 'stdin',
    valid: false,
    complaints: [
      {
        field: 'listn',
        position: { line: 1, column: 1 },
        message: 'listn is not a field: did you mean listen?',
      },
    ],
    warnings: [],
  });
});

test('a document that can not be read is refused with the remedy', async () => {
  await using folder = await temporaryFolder();
  const large = join(folder.path, 'large');
  await writeFile(large, '#'.repeat(9 * 1024 * 1024));
  for (const [file, error] of [
    [join(folder.path, 'none'), /none can't be read \(ENOENT\): name a readable file/],
    [folder.path, /is a folder: name the document in it/],
    [large, /has more than 8388608 bytes/],
  ] as const) {
    const { code, text: printed } = await runCommandHere('config', 'check', file);
    assert.equal(code, 2);
    assert.match(printed, error);
  }
});
