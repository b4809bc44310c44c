import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type TestLayer, type TestLayerOptions, testLayer } from '../support/layer.ts';
import { FaultProxy } from '../support/proxy/fault-proxy.ts';
import { startCloud } from '../support/registry/cloud.ts';
import { checkPushes, differences } from '../support/registry/compare-layers.ts';
import { type Place, Traffic } from '../support/registry/traffic.ts';
import { settle } from '../support/settle.ts';
import { random } from '../support/time/random.ts';

/** cloud ← layer 5 ← layer 4 ← layer 3, all ReadWrite, each behind a faulty link of its own. */

const full = process.env.TERRACE_FULL === '1';
const OPERATIONS = Number(process.env.TERRACE_OPERATIONS ?? (full ? 1_000 : 48));
const PACE_MS = full ? 500 : 150;
const FLAP_MS = full ? 3_000 : 1_500;
const DOWN_MS = full ? 2_000 : 700;
const KILL_MS = full ? 3_000 : 1_500;
const KILLS = full ? 20 : 3;
/** The supervisor restarts a program that ran for this time at once, and one that ends sooner later each time. */
const STABLE_MS = 31_000;
const SETTLE_MS = full ? 180_000 : 30_000;

type Stack = { cloud: Awaited<ReturnType<typeof startCloud>>; links: FaultProxy[]; layers: TestLayer[] };

async function startStack(stack: AsyncDisposableStack): Promise<Stack> {
  const cloud = stack.use(await startCloud());
  const links: FaultProxy[] = [];
  const layers: TestLayer[] = [];
  let above = cloud.url;
  for (const level of [5, 4, 3]) {
    const link = stack.use(await FaultProxy.start(above));
    const options: TestLayerOptions = {
      name: `layer-${level}`,
      parent: link.url,
      repositories: ['*'],
      mode: 'ReadWrite',
      schedule: '* * * * *',
      // In the full run, the services of layer 4 have processes of their own and are killed one by one.
      compact: !full || level !== 4,
      logLevel: 'warn',
    };
    const layer = stack.use(await testLayer(options));
    links.push(link);
    layers.push(layer);
    above = layer.url;
  }
  return { cloud, links, layers };
}

test('three layers and a cloud agree and lose nothing, with concurrent writes, failing links and kills', async (t) => {
  const seed = Number(process.env.TERRACE_SEED ?? Date.now() % 100_000);
  t.diagnostic(`TERRACE_SEED=${seed}`);
  const next = random(seed);
  await using stack = new AsyncDisposableStack();
  const { cloud, links, layers } = await startStack(stack);
  const cloudPlace: Place = { name: 'cloud', host: cloud.host, isLayer: false };
  const places = [
    cloudPlace,
    ...layers.map((layer, i) => ({ name: `${5 - i}`, host: layer.host, isLayer: true })),
  ];
  const traffic = new Traffic({ next, pace: PACE_MS });

  const faults = new FaultInjector(next);
  const isEnough = () => faults.counts.kills >= KILLS && traffic.counts.pushed >= OPERATIONS / 6;
  const run = traffic.run(places, OPERATIONS, isEnough).finally(() => faults.end());
  await Promise.all([
    run,
    faults.flap(links),
    faults.kill(layers, cloud),
    faults.every(3_000, async () => {
      // Passes that take changes from the parent. The schedule repeats a pass that fails.
      await layers[Math.floor(next() * 3)]?.sync({ maxRequests: 1, patience: 1_000 }).catch(() => {});
    }),
    faults.every(full ? 20_000 : 3_000, async () => {
      await traffic.copy(places[Math.floor(next() * places.length)] as Place);
    }),
  ]);
  const rounds = await settle(
    layers.toReversed().map((layer) => (options) => layer.sync(options)),
    SETTLE_MS,
  );
  t.diagnostic(
    JSON.stringify({ ...traffic.counts, confirmed: traffic.acknowledged.length, ...faults.counts, rounds }),
  );
  await assertAgreement(t, traffic, places, cloud.folder);
});

async function assertAgreement(t: TestContext, traffic: Traffic, places: Place[], folder: string) {
  assert.deepEqual(await differences(places), []);
  const { lost, ...counts } = await checkPushes(traffic, places[0] as Place, folder);
  t.diagnostic(JSON.stringify(counts));
  assert.deepEqual(lost, []);
  assert.ok(counts.overwritten <= 1 + OPERATIONS / 100, `${counts.overwritten} tags were overwritten`);
}

/** Cuts links and kills processes until it is ended. */
class FaultInjector {
  readonly counts = { cuts: 0, kills: 0 };
  readonly #next: () => number;
  readonly #over = new AbortController();

  constructor(next: () => number) {
    this.#next = next;
  }

  end(): void {
    this.#over.abort();
  }

  async every(ms: number, task: () => Promise<void>): Promise<void> {
    while (await this.#pause(ms)) await task();
  }

  async flap(links: FaultProxy[]): Promise<void> {
    await Promise.all(
      links.map(async (link) => {
        while (await this.#pause(FLAP_MS)) {
          await link.down();
          this.counts.cuts += 1;
          await this.#pause(DOWN_MS);
          await link.up();
        }
      }),
    );
  }

  async kill(layers: TestLayer[], cloud: Stack['cloud']): Promise<void> {
    const killed = new Map<string, number>();
    await this.every(KILL_MS, async () => {
      const programs = layers.flatMap((layer) =>
        Object.keys(layer.pids()).map((program) => ({
          name: `${layer.host} ${program}`,
          kill: () => layer.killWithoutWaiting(program),
        })),
      );
      const ready = [...programs, { name: 'cloud', kill: () => cloud.restart() }].filter(
        ({ name }) => Date.now() - (killed.get(name) ?? 0) > STABLE_MS,
      );
      const victim = ready[Math.floor(this.#next() * ready.length)];
      if (!victim) return;
      killed.set(victim.name, Date.now());
      await victim.kill();
      this.counts.kills += 1;
    });
  }

  /** @returns false once it is ended */
  async #pause(ms: number): Promise<boolean> {
    await sleep(ms * (0.5 + this.#next()), undefined, { signal: this.#over.signal }).catch(() => {});
    return !this.#over.signal.aborted;
  }
}
