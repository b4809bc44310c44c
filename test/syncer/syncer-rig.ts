import type { Static } from '@sinclair/typebox';
import { pino } from 'pino';
import type { Bus } from '#proto/bus/bus.ts';
import { CONFIGURATION_KEY, type Configuration, configuration } from '#proto/document/configuration.ts';
import type { Overrides } from '#proto/document/resolve/resolve.ts';
import { LINK_KEY, type LinkStatus, linkStatus } from '#proto/status/status.ts';
import { type PassResult, passFinished, startPass } from '#proto/sync/passes.ts';
import { transferStarted } from '#proto/sync/transfers.ts';
import { followPass } from '../../cli/connection/follow-pass.ts';
import { runSyncer } from '../../services/syncer/service.ts';
import { GatewayRig } from '../gateway/gateway-rig.ts';
import { configurationWith } from '../support/configuration.ts';
import { until } from '../support/until.ts';

/**
 * A layer whose syncers, two by default, run in this process. Its configuration is written without the checks of a
 * document.
 */
export class SyncerRig implements AsyncDisposable {
  readonly layer: GatewayRig;
  readonly passes: PassResult[] = [];
  /** The syncers that started a transfer. */
  readonly activeSyncers = new Set<string>();
  readonly #parent: string;
  readonly #end = new AbortController();
  #bus!: Bus;
  #bridge!: Bus;
  #operator!: Bus;
  readonly #running: Promise<void>[] = [];

  static async start(
    parent: string,
    fields: Partial<Configuration>,
    instances = ['one', 'two'],
  ): Promise<SyncerRig> {
    const rig = new SyncerRig(await GatewayRig.start(), parent);
    const { testBus, data } = rig.layer;
    rig.#bus = await testBus.connect('syncer');
    rig.#bridge = await testBus.connect('twin-bridge');
    rig.#operator = await testBus.connect('operator');
    rig.#bus.listen(passFinished, ({ data: result }) => rig.passes.push(result));
    rig.#bus.listen(transferStarted, ({ data: { syncer } }) => rig.activeSyncers.add(syncer));
    await rig.configure(fields);
    for (const instance of instances) {
      const bus = await testBus.connect('syncer', instance);
      const about = { service: 'syncer', instance, layer: 'rig', data, bus, env: {} } as const;
      rig.#running.push(
        runSyncer({
          ...about,
          log: pino({ level: 'silent' }),
          signal: rig.#end.signal,
          serves() {},
          waits() {},
          describe() {},
          measure() {},
        }),
      );
    }
    return rig;
  }

  private constructor(layer: GatewayRig, parent: string) {
    this.layer = layer;
    this.#parent = parent;
  }

  async configure(fields: Partial<Configuration>): Promise<void> {
    const defaults = configurationWith({
      parent: { url: this.#parent },
      repositories: ['*'],
      mode: 'ReadWrite',
    });
    await this.#bridge.put(configuration, CONFIGURATION_KEY, { ...defaults, ...fields });
  }

  /** Replaces the configuration by the one that results from a document with these fields. */
  async configureWith(fields: Overrides): Promise<void> {
    await this.#bridge.put(configuration, CONFIGURATION_KEY, configurationWith(fields));
  }

  /** Replaces the configuration, and waits for the pass that it causes, which retries parked changes. */
  async reconfigureWith(fields: Overrides): Promise<void> {
    const before = this.passes.length;
    await this.configureWith(fields);
    await until(() => this.passes.length > before, 'the pass for the new configuration');
  }

  /** Requests a pass and waits for its result; if its coordinator loses the lease, for that of another one. */
  async pass(query: Static<typeof startPass.query> = {}): Promise<PassResult> {
    const { pass } = await followPass(this.#operator, query);
    return this.finished((result) => result.pass === pass);
  }

  requestPass(query: Static<typeof startPass.query>): Promise<{ pass: string }> {
    return this.#operator.call(startPass, query);
  }

  async finished(matches: (result: PassResult) => boolean): Promise<PassResult> {
    await until(() => this.passes.some(matches));
    return this.passes.find(matches) as PassResult;
  }

  async link(): Promise<LinkStatus | undefined> {
    return (await this.#bus.get(linkStatus, LINK_KEY))?.value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort(new Error('the test has ended'));
    await Promise.all(this.#running);
    await this.layer[Symbol.asyncDispose]();
  }
}
