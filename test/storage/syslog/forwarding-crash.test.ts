import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { addAudit } from '#proto/status/audit.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { readLine } from '../../../services/storage/audit/audit-line.ts';
import { TestBus } from '../../support/bus.ts';
import { Authority } from '../../support/certificates.ts';
import { configurationWith } from '../../support/configuration.ts';
import { freePort } from '../../support/ports.ts';
import { SyslogReceiver } from '../../support/syslog-receiver.ts';
import { patience, until } from '../../support/until.ts';

/** The process of storage, with a syslog receiver that its configuration names. */

const MAIN = join(import.meta.dirname, '../../../services/storage/main.ts');

let authority: Authority;
let server: TestBus;
let data: string;
let gateway: Bus;
before(async () => {
  authority = await Authority.create();
  server = await TestBus.start();
  data = await mkdtemp(join(tmpdir(), 'terrace-syslog-'));
  gateway = await server.connect('gateway');
});
after(async () => {
  await rm(data, { recursive: true, force: true });
  await server[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
});

async function start(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [MAIN], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      TERRACE_DATA: data,
      TERRACE_BUS: server.url,
      TERRACE_BUS_PASSWORD: 'secret-of-storage',
      TERRACE_LOG: 'fatal',
    },
  });
  await status();
  return child;
}

const status = () => gateway.call(storageStatus, {}, { patience: patience() });

async function ids(): Promise<string[]> {
  const text = await readFile(join(data, 'log/audit.log'), 'utf8');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => readLine(line).id);
}

test('after kills of storage and cuts of the receiver, every entry of the audit log has arrived; a stop sends the last', async () => {
  const port = await freePort();
  const tls = await authority.issue('receiver');
  await using receiver = new SyslogReceiver(port, { tls });
  await receiver.start();
  const bridge = await server.connect('twin-bridge');
  const syslog = { host: `127.0.0.1:${port}`, caFile: authority.certificate };
  let storage = await start();
  await bridge.put(configuration, CONFIGURATION_KEY, configurationWith({ audit: { syslog } }));
  const entry = { at: Date.now(), action: 'content/write', outcome: 'written', account: 'ci' } as const;
  for (let round = 0; round < 3; round += 1) {
    const end = new AbortController();
    const known = receiver.messages.length;
    const work = (async () => {
      while (!end.signal.aborted) {
        await gateway.call(addAudit, { entries: Array(10).fill(entry) }, { signal: end.signal });
      }
    })();
    await receiver.until(({ length }) => length > known + 50);
    if (round === 1) await receiver.stop();
    storage.kill('SIGKILL');
    await once(storage, 'exit');
    end.abort();
    await work.catch(() => {});
    if (round === 1) await receiver.start();
    storage = await start();
  }
  const all = await ids();
  await until(async () => {
    const arrived = new Set(receiver.ids());
    return all.every((id) => arrived.has(id));
  });
  await until(async () => (await status()).forwarding?.state === 'Connected');
  const { forwarding } = await status();
  assert.deepEqual(
    [forwarding?.receiver, forwarding?.tls, forwarding?.waiting, forwarding?.lost],
    [`127.0.0.1:${port}`, true, 0, undefined],
  );
  assert.equal(receiver.messages.filter((message) => message.includes('storage/start')).length > 3, true);
  storage.kill('SIGTERM');
  await once(storage, 'exit');
  const last = await ids();
  await until(() => receiver.ids().at(-1) === last.at(-1));
  assert.match(receiver.messages.at(-1) as string, / storage\/stop \[/);
  // Each id is that of one entry.
  assert.equal(new Set(last).size, last.length);
});
