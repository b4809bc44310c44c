import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { listTokens } from '#proto/accounts/accounts.ts';
import { hashPassword } from '#proto/accounts/password-hash.ts';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { bridgeStatus } from '#proto/status/status.ts';
import type { ModuleTwin } from '../../services/twin-bridge/iot-edge/module-twin.ts';
import type { DirectMethod } from '../../services/twin-bridge/methods/method.ts';
import { runModule } from '../../services/twin-bridge/module.ts';
import type { Reported } from '../../services/twin-bridge/report/reported.ts';
import type { SourceState } from '../../services/twin-bridge/source/source.ts';
import { type Buses, connectAll, Rig } from '../storage/rig.ts';
import { quiet } from '../support/bus.ts';
import { until as untilTrue } from '../support/until.ts';

/** A twin whose properties the test changes. */
class ScriptedTwin implements ModuleTwin {
  readonly name = 'the module twin';
  session = { connected: true, since: 1 };
  readonly reports: Reported[] = [];
  methods: ReadonlyMap<string, DirectMethod> = new Map();
  #handler: (found: SourceState) => void = () => {};
  watch(handler: (found: SourceState) => void): Disposable {
    this.#handler = handler;
    return { [Symbol.dispose]() {} };
  }
  desire(version: number, document: object): void {
    this.#handler({ text: JSON.stringify(document), folder: '/data', version });
  }
  report(wanted: Reported): void {
    this.reports.push(wanted);
  }
  async [Symbol.asyncDispose](): Promise<void> {}
}

let buses: Buses;
before(async () => {
  buses = await connectAll();
});
after(() => buses.server[Symbol.asyncDispose]());

test('valid desired properties take effect, and invalid ones change nothing and are reported by field', async () => {
  await using _rig = await Rig.open(buses);
  const operator = await buses.server.connect('operator');
  const twin = new ScriptedTwin();
  const end = new AbortController();
  const running = runModule({
    bus: await buses.server.connect('twin-bridge'),
    log: quiet,
    signal: end.signal,
    version: '1.2.3',
    bridgeOptions: {
      overrides: { listen: '127.0.0.1:5001' },
      defaults: {
        mode: 'ReadOnly',
        parent: { url: 'https://up.example', username: 'u', passwordFile: '/dev/null' },
      },
    },
    start: (methods) => Object.assign(twin, { methods }),
    pace: { debounceMs: 10, minIntervalMs: 10 },
  });
  const inForce = async () => (await operator.get(configuration, CONFIGURATION_KEY))?.value;
  const until = (is: () => unknown) =>
    untilTrue(
      async () => Boolean(await is()),
      () => JSON.stringify(twin.reports),
    );
  const desired = () =>
    twin.reports.at(-1)?.desired as { version?: number; state?: string; complaints: string[] };
  await until(() => desired()?.state === 'unknown');
  assert.equal(await inForce(), undefined, 'nothing is in force before the twin is known');

  const hash = await hashPassword('a long password');
  const document = { mode: 'ReadWrite', tokens: [{ name: 'ci', pull: '*', passwords: [hash] }] };
  twin.desire(4, document);
  await until(async () => (await inForce())?.mode === 'ReadWrite');
  assert.deepEqual((await inForce())?.parent?.url, 'https://up.example');
  await until(async () => (await operator.call(listTokens, { limit: 9 })).tokens[0]?.declared);
  await until(() => desired()?.version === 4 && desired()?.state === 'applied');
  assert.equal(twin.reports.at(-1)?.mode, 'ReadWrite');

  twin.desire(5, { mode: 'Sometimes', listen: '0.0.0.0:80', schedule: 'now' });
  await until(() => desired()?.version === 5);
  assert.equal(desired()?.state, 'refused');
  assert.match(desired()?.complaints[0] ?? '', /^listen takes effect at the start/);
  twin.desire(6, { mode: 'Sometimes', schedule: 'now' });
  await until(() => desired()?.version === 6);
  assert.match(
    desired()?.complaints.join('\n') ?? '',
    /^mode "Sometimes" is not valid: write ReadWrite or ReadOnly/,
  );
  assert.deepEqual((await inForce())?.mode, 'ReadWrite');
  assert.equal((await operator.call(listTokens, { limit: 9 })).tokens.length, 1);
  const { version, complaints, session } = await operator.call(bridgeStatus, {});
  assert.deepEqual([version, complaints, session], [6, desired()?.complaints, twin.session]);

  twin.desire(7, document);
  await until(() => desired()?.version === 7 && desired()?.state === 'applied');
  const answer = await twin.methods.get('status')?.(null, end.signal);
  const reported = answer?.payload as Reported | undefined;
  assert.deepEqual(reported?.desired, { version: 7, state: 'applied', complaints: [] });
  assert.doesNotMatch(JSON.stringify(twin.reports), /scrypt|dev\/null/);
  end.abort();
  await running;
});
