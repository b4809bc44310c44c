import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ServiceManager, withoutManager } from '../../../cli/layer/service-manager.ts';
import { Health } from '../../../services/process/health.ts';
import { quiet } from '../../support/bus.ts';
import { freePort } from '../../support/ports.ts';
import { startCommandWith } from '../../support/terrace.ts';
import { until } from '../../support/until.ts';

/** In place of `systemd-notify`: writes what it would send, a message a line. */
async function recorder(t: { after: (end: () => Promise<void>) => void }) {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-manager-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const messages = join(folder, 'messages');
  const program = join(folder, 'systemd-notify');
  await writeFile(messages, '');
  await writeFile(program, `#!/bin/sh\necho "$*" >>${messages}\n`, { mode: 0o755 });
  const env = { NOTIFY_SOCKET: '/run/systemd/notify', PATH: `${folder}:${process.env.PATH}` };
  return { folder, env, sent: () => readFile(messages, 'utf8') };
}

test('a layer reports to its service manager that it is ready, that it lives, and that it stops', async (t) => {
  const { folder, env, sent } = await recorder(t);
  const listen = `127.0.0.1:${await freePort()}`;
  const parameters = ['--data', join(folder, 'data'), '--listen', listen, '--compact'];
  const layer = startCommandWith({ ...env, WATCHDOG_USEC: '2000000' }, 'up', ...parameters);
  await until(async () => ((await sent()).match(/^WATCHDOG=1 /gm)?.length ?? 0) >= 2, 'two signs of life');
  const [first, second] = (await sent()).split('\n').filter((line) => !line.startsWith('STATUS=Waiting'));
  const status = `STATUS=Terrace serves layer "layer" at http://${listen} (ReadWrite)`;
  assert.equal(first, `READY=1 ${status}`);
  assert.equal(second, `WATCHDOG=1 ${status}`);
  layer.child.kill('SIGTERM');
  await until(async () => (await sent()).includes('STOPPING=1'), 'the report of its end');
  assert.equal(await layer.exited(), 0);
});

test('signs of life end when a service does not answer, and go on while it answers why it waits', async (t) => {
  const { folder, env, sent } = await recorder(t);
  const data = join(folder, 'data');
  await mkdir(data);
  const warnings: string[] = [];
  const warn = (text: string) => void warnings.push(text);
  const manager = ServiceManager.of({ env: { ...env, WATCHDOG_USEC: '2000000' }, data, warn });
  const end = new AbortController();
  let isAnswered = true;
  const bus = { flush: () => (isAnswered ? Promise.resolve() : Promise.reject(new Error('closed'))) };
  const start = async (service: string) => {
    const health = new Health({ service, data, bus, log: quiet });
    await health.start();
    return health;
  };
  await using gateway = await start('gateway');
  await using storage = await start('storage');
  await using syncer = await start('syncer');
  await using bridge = await start('twin-bridge');
  for (const service of [storage, syncer, bridge]) service.serves();
  gateway.waits('waiting for the first token');
  const running = manager?.keepAlive('serving', end.signal);
  const waiting = 'WATCHDOG=1 STATUS=Not healthy: gateway (waiting for the first token)';
  await until(async () => (await sent()).includes(waiting), 'a sign of life of a layer that waits');
  isAnswered = false;
  await until(
    async () => /^STATUS=Not healthy: .*the bus does not answer/m.test(await sent()),
    'no sign of life',
  );
  gateway.serves();
  isAnswered = true;
  await until(async () => (await sent()).endsWith('WATCHDOG=1 STATUS=serving\n'), 'a sign of life again');
  end.abort();
  await running;
  assert.match(warnings.join('\n'), /^not healthy: gateway \(waiting for the first token\)/);
});

test('a watchdog of another process gets no signs of life, and without a manager nothing is reported', async (t) => {
  const { env, sent } = await recorder(t);
  const deps = { data: '/nowhere', warn() {} };
  assert.equal(ServiceManager.of({ ...deps, env: {} }), undefined);
  const other = { ...env, WATCHDOG_USEC: '2000000', WATCHDOG_PID: '1' };
  await ServiceManager.of({ ...deps, env: other })?.keepAlive('serving', new AbortController().signal);
  assert.equal(await sent(), '');
});

test('a manager without systemd-notify is warned of once', async () => {
  const warnings: string[] = [];
  const env = { NOTIFY_SOCKET: '/run/systemd/notify', PATH: '/nowhere' };
  const manager = ServiceManager.of({ env, data: '/nowhere', warn: (text) => void warnings.push(text) });
  await manager?.ready('serving');
  await manager?.stopping();
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /install systemd, or unset NOTIFY_SOCKET/);
});

test('the processes of a layer do not report to its service manager', () => {
  const env = {
    NOTIFY_SOCKET: '/run/systemd/notify',
    WATCHDOG_USEC: '1',
    WATCHDOG_PID: '2',
    TERRACE_LOG: 'info',
  };
  assert.deepEqual(withoutManager(env), { TERRACE_LOG: 'info' });
});
