import { deepEqual, equal, match } from 'node:assert/strict';
import { once } from 'node:events';
import { hostname } from 'node:os';
import { after, test } from 'node:test';
import { unhealthyServices } from '../../../cli/connection/service-health.ts';
import { until } from '../../support/until.ts';
import { on, Tokens } from '../accounts.ts';
import { GatewayRig } from '../gateway-rig.ts';
import { kill } from '../rig-storage.ts';

const layer = await GatewayRig.start({}, { apart: true });
after(() => layer[Symbol.asyncDispose]());

/** A gateway process that listens on all addresses. */
function start(env: NodeJS.ProcessEnv = {}) {
  const child = layer.spawn('gateway', {
    TERRACE_LISTEN: '0.0.0.0:0',
    TERRACE_MODE: 'ReadWrite',
    TERRACE_LOG: 'info',
    ...env,
  });
  after(() => kill(child));
  let log = '';
  child.stdout?.on('data', (line) => {
    log += line;
  });
  const status = async () => {
    const port = () => /listening on http:\/\/[\d.]+:(\d+)"/.exec(log)?.[1];
    await until(() => port() !== undefined);
    return (await fetch(`http://127.0.0.1:${port()}/v2/`)).status;
  };
  return { child, log: () => log, status };
}

test('without a token, a gateway that other machines can reach does not start, and logs the remedy', async () => {
  const { child, log } = start();
  const [code] = await once(child, 'exit');
  equal(code, 1);
  const fatal = log()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
    .find(({ level }) => level === 60);
  match(fatal.msg, /terrace token create/);
  match(fatal.msg, /--insecure-listen/);
});

test('in a container, it waits for the first token: the log and the health check have the command', async () => {
  const { child, log, status } = start({ TERRACE_CONTAINER: '1' });
  const command = `docker exec ${hostname()} terrace token create NAME --push '*'`;
  await until(() => log().includes(`create it: ${command}`));
  const gateway = async () => (await unhealthyServices(layer.data)).get('gateway');
  await until(async () => (await gateway()) === `waiting for the first token: ${command}`);
  const tokens = await Tokens.of(layer);
  await tokens.create('first', on('*', 'content/read'));
  equal(await status(), 401);
  await until(async () => (await gateway()) === undefined);
  await tokens.delete('first');
  await kill(child);
});

test('with TERRACE_INSECURE_LISTEN, it starts without a token and allows everything', async () => {
  const { child, status } = start({ TERRACE_INSECURE_LISTEN: '1' });
  equal(await status(), 200);
  await kill(child);
});

test('it waits for storage to check for a token; with one it starts, and requests need credentials', async () => {
  await (await Tokens.of(layer)).create('ci', on('*', 'content/read'));
  await layer.storageDown();
  const { child, log, status } = start();
  await until(() => /waiting for storage/.test(log()));
  await layer.storageUp();
  equal(await status(), 401);
  await kill(child);
});

test('a gateway that waits for storage ends on SIGTERM', async () => {
  await layer.storageDown();
  const { child, log } = start();
  await until(() => /waiting for storage/.test(log()));
  child.kill('SIGTERM');
  const [code] = await once(child, 'exit');
  deepEqual([code, /fatal|"level":60/.test(log())], [0, false]);
});
