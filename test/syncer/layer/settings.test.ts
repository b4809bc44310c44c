import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import { SharedBandwidth } from '../../../services/syncer/link/bandwidth/bandwidth.ts';
import { SyncerSettings } from '../../../services/syncer/link/parent/settings.ts';
import { quiet } from '../../support/bus.ts';
import { Authority } from '../../support/certificates.ts';

const { signal } = new AbortController();

test('the CA file of the parent is read again when it changes, and a missing or invalid one is config-invalid', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-settings-'));
  await using authority = await Authority.create();
  await using otherAuthority = await Authority.create();
  const { certificateFile, keyFile } = await authority.issue('parent');
  const tls = { cert: await readFile(certificateFile), key: await readFile(keyFile) };
  const server = createServer(tls, (_, response) => response.end('{}'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const caFile = join(folder, 'ca.crt');
  try {
    await using settings = new SyncerSettings(new SharedBandwidth({} as Bus, 'syncer', quiet));
    const parent = async () => (await settings.clients()).parent;
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    settings.set({
      name: 'line',
      parent: { url, caFile },
      repositories: [],
      bandwidth: [],
    } as unknown as Configuration);
    await assert.rejects(parent(), {
      code: 'config-invalid',
      message: /parent\.caFile .*can't be read/,
    });
    await writeFile(caFile, 'no certificate');
    await assert.rejects(parent(), { code: 'config-invalid', message: /parent\.caFile/ });
    await writeFile(caFile, await readFile(otherAuthority.certificate));
    const before = await parent();
    await assert.rejects(before.ping(signal), {
      code: 'parent-unreachable',
      message: /certificate is not trusted/,
    });
    await writeFile(caFile, await readFile(authority.certificate));
    const after = await parent();
    await after.ping(signal);
    assert.notEqual(after, before);
    assert.equal(await parent(), after);
  } finally {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true, force: true });
  }
});
