import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Authority } from '../../support/certificates.ts';
import { runCommandHere } from '../../support/command-line.ts';
import { freePort } from '../../support/ports.ts';
import { runCommand, startCommand, startCommandWith } from '../../support/terrace.ts';

/** A layer accepts other machines only if it has an account, or with --insecure-listen. */

const NO_ACCOUNTS =
  /^terrace: listen 0\.0\.0\.0:\d+ accepts other machines, and this layer has no accounts: create one with "terrace token create NAME --push '\*' --data .*", listen on 127\.0\.0\.1, or use --insecure-listen/m;

async function temporaryFolder() {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-listen-'));
  const data = join(folder, 'data');
  const port = await freePort();
  return {
    data,
    url: `http://127.0.0.1:${port}/v2/`,
    up: (...options: string[]) => ['up', '--data', data, '--listen', `0.0.0.0:${port}`, ...options],
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

describe('listening to other machines', { concurrency: 2 }, () => {
  test('without data, and thus without an account, the start is refused and nothing is created', async () => {
    await using folder = await temporaryFolder();
    const { code, text } = await runCommand(...folder.up());
    assert.equal(code, 2);
    assert.match(text, NO_ACCOUNTS);
    assert.ok(!existsSync(folder.data));
  });

  for (const kind of process.env.TERRACE_FULL === '1' ? [[], ['--compact']] : [['--compact']]) {
    const title = ['the start is refused without a token, and succeeds with one', ...kind].join(', ');
    test(title, async () => {
      await using folder = await temporaryFolder();
      const token = (...parameters: string[]) =>
        runCommandHere('token', ...parameters, '--data', folder.data);
      await token('create', 't', '--push', '*');
      await token('delete', 't');
      const refused = await runCommand(...folder.up(...kind));
      assert.equal(refused.code, 2);
      assert.match(refused.text, NO_ACCOUNTS);
      assert.deepEqual(await readdir(join(folder.data, 'run')), [], 'nothing runs');

      const { stdout } = await token('create', 't', '--push', '*');
      await using up = startCommand(...folder.up(...kind));
      const text = await up.untilOutput(/Ctrl-C stops it/);
      assert.match(text, /Clients log in: 1 token\./);
      assert.equal((await fetch(folder.url)).status, 401);
      const authorization = `Basic ${Buffer.from(`t:${stdout.trim()}`).toString('base64')}`;
      assert.equal((await fetch(folder.url, { headers: { authorization } })).status, 200);
    });
  }

  test('--insecure-listen admits everybody', async () => {
    await using folder = await temporaryFolder();
    await using up = startCommand(...folder.up('--compact', '--insecure-listen'));
    assert.match(
      await up.untilOutput(/Ctrl-C stops it/),
      /No accounts: everyone who reaches the layer has full access/,
    );
    assert.equal((await fetch(folder.url)).status, 200);
  });

  test('data, certificates and name come from the environment of the connected registry', async () => {
    await using folder = await temporaryFolder();
    await using authority = await Authority.create();
    const { certificateFile, keyFile } = await authority.issue('edge', {
      names: ['registry.example', 'other.example'],
    });
    const certificates = join(authority.folder, 'certs');
    await mkdir(certificates);
    await copyFile(certificateFile, join(certificates, 'tls.crt'));
    await copyFile(keyFile, join(certificates, 'tls.key'));
    const port = await freePort();
    const env = {
      ACR_REGISTRY_DATA_VOLUME: folder.data,
      ACR_REGISTRY_CERTIFICATE_VOLUME: certificates,
      ACR_REGISTRY_LOGIN_SERVER: `registry.example:${port}`,
    };
    await using up = startCommandWith(env, 'up', '--listen', `127.0.0.1:${port}`, '--gateways', '2');
    const text = await up.untilOutput(/Ctrl-C stops it/);
    assert.match(text, new RegExp(`at https://127\\.0\\.0\\.1:${port} \\(`));
    assert.match(text, new RegExp(`podman pull registry\\.example:${port}/hello:1`));
    assert.doesNotMatch(text, /tls-verify|Still waiting|--data/);

    const ca = await readFile(authority.certificate);
    const statusFor = async (host: string) => {
      const outgoing = request({ host: '127.0.0.1', port, path: '/v2/', ca, headers: { host } }).end();
      const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
      answer.resume();
      return answer.statusCode;
    };
    assert.equal(await statusFor(`registry.example:${port}`), 200);
    assert.notEqual(await statusFor('other.example'), 200);

    const { stdout } = await runCommandHere('status', '--json', '--data', folder.data);
    const { services } = JSON.parse(stdout) as { services: { service: string }[] };
    assert.equal(services.filter(({ service }) => service === 'gateway').length, 2);
    assert.equal((await runCommand('health', '--data', folder.data)).code, 0);
    const status = await runCommandHere('status', '--data', folder.data);
    assert.match(status.text, new RegExp(`^Layer "layer" at https://127.0.0.1:${port} `));
    up.child.kill('SIGTERM');
    assert.equal(await up.exited(), 0);
  });
});
