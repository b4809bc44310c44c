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
import { freePort } from '../../support/ports.ts';
import { run, type, typeIn } from '../../support/terrace.ts';

/** A layer lets other machines in only when it has an account, or when it is told to. */

const NO_ACCOUNTS =
  /^terrace: listen 0\.0\.0\.0:\d+ accepts other machines, and this layer has no accounts: create one with "terrace token create NAME --push '\*' --data .*", listen on 127\.0\.0\.1, or use --insecure-listen/m;

async function place() {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-listen-'));
  const data = join(folder, 'data');
  const port = await freePort();
  return {
    data,
    url: `http://127.0.0.1:${port}/v2/`,
    up: (...words: string[]) => ['up', '--data', data, '--listen', `0.0.0.0:${port}`, ...words],
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

describe('listening to other machines', { concurrency: 2 }, () => {
  test('with no data there is no account: refused, and nothing is made', async () => {
    await using at = await place();
    const { code, text } = await run(...at.up());
    assert.equal(code, 2);
    assert.match(text, NO_ACCOUNTS);
    assert.ok(!existsSync(at.data));
  });

  for (const kind of process.env.TERRACE_FULL === '1' ? [[], ['--compact']] : [['--compact']]) {
    const title = ['without a token refused, with one not', ...kind].join(', ');
    test(title, async () => {
      await using at = await place();
      const token = (...words: string[]) => run('token', ...words, '--data', at.data);
      await token('create', 't', '--push', '*');
      await token('delete', 't');
      const refused = await run(...at.up(...kind));
      assert.equal(refused.code, 2);
      assert.match(refused.text, NO_ACCOUNTS);
      assert.deepEqual(await readdir(join(at.data, 'run')), [], 'nothing runs');

      const { stdout } = await token('create', 't', '--push', '*');
      await using up = type(...at.up(...kind));
      const text = await up.says(/Ctrl-C stops it/);
      assert.match(text, /Clients log in: 1 token\./);
      assert.equal((await fetch(at.url)).status, 401);
      const authorization = `Basic ${Buffer.from(`t:${stdout.trim()}`).toString('base64')}`;
      assert.equal((await fetch(at.url, { headers: { authorization } })).status, 200);
    });
  }

  test('--insecure-listen lets everybody in', async () => {
    await using at = await place();
    await using up = type(...at.up('--compact', '--insecure-listen'));
    assert.match(
      await up.says(/Ctrl-C stops it/),
      /No accounts: everyone who reaches the layer has full access/,
    );
    assert.equal((await fetch(at.url)).status, 200);
  });

  test('told as another connected registry is: data, certificates and name come from the environment', async () => {
    await using at = await place();
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
      ACR_REGISTRY_DATA_VOLUME: at.data,
      ACR_REGISTRY_CERTIFICATE_VOLUME: certificates,
      ACR_REGISTRY_LOGIN_SERVER: `registry.example:${port}`,
    };
    await using up = typeIn(env, 'up', '--listen', `127.0.0.1:${port}`, '--gateways', '2');
    const text = await up.says(/Ctrl-C stops it/);
    assert.match(text, new RegExp(`at https://127\\.0\\.0\\.1:${port} \\(`));
    assert.match(text, new RegExp(`podman pull registry\\.example:${port}/hello:1`));
    assert.doesNotMatch(text, /tls-verify|Still waiting|--data/);

    const ca = await readFile(authority.certificate);
    const statusFor = async (host: string) => {
      const asked = request({ host: '127.0.0.1', port, path: '/v2/', ca, headers: { host } }).end();
      const [answer] = (await once(asked, 'response')) as [IncomingMessage];
      answer.resume();
      return answer.statusCode;
    };
    assert.equal(await statusFor(`registry.example:${port}`), 200);
    assert.notEqual(await statusFor('other.example'), 200);

    const { stdout } = await run('status', '--json', '--data', at.data);
    const { services } = JSON.parse(stdout) as { services: { service: string }[] };
    assert.equal(services.filter(({ service }) => service === 'gateway').length, 2);
    assert.equal((await run('health', '--data', at.data)).code, 0);
    const status = await run('status', '--data', at.data);
    assert.match(status.text, new RegExp(`^Layer "layer" at https://127.0.0.1:${port} `));
    up.child.kill('SIGTERM');
    assert.equal(await up.ended(), 0);
  });
});
