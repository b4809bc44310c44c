import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect } from 'nats';
import { tagMoved } from '#proto/content.ts';
import { typeOf } from '../../cli/event-text.ts';
import { until } from '../gateway/layer.ts';
import { pushImage } from '../support/image.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';

/** A monitor with the plain `nats` package: the program of the README, as it stands there. */

const root = join(import.meta.dirname, '../..');
let layer: TestLayer;
let folder: string;

before(async () => {
  layer = await testLayer({ compact: true });
  // Where packages are found from.
  await mkdir(join(root, 'node_modules/.cache'), { recursive: true });
  folder = await mkdtemp(join(root, 'node_modules/.cache/monitor-'));
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const program = /### Monitors[\s\S]*?```js\n([\s\S]*?)```/.exec(readme)?.[1];
  assert.ok(program);
  await writeFile(join(folder, 'monitor.mjs'), program);
});
after(async () => {
  await layer?.stop();
  await rm(folder, { recursive: true, force: true });
});

class Monitor implements AsyncDisposable {
  readonly seen: { sequence: number; tag: string }[] = [];
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();

  constructor() {
    const parameters = [join(folder, 'monitor.mjs'), layer.data, 'events.tag.>', join(folder, 'place')];
    this.#child = spawn(process.execPath, parameters, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    this.#child.stdout?.setEncoding('utf8').on('data', (part: string) => {
      const lines = (text + part).split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) {
        const [sequence, , , ...data] = line.split(' ');
        this.seen.push({ sequence: Number(sequence), tag: JSON.parse(data.join(' ')).tag });
      }
      for (const wake of this.#waiting) wake();
    });
  }

  async sees(tag: string): Promise<void> {
    const timeout = AbortSignal.timeout(20_000);
    while (!this.seen.some((one) => one.tag === tag)) {
      timeout.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
        timeout.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'close');
  }
}

const push = async (...tags: string[]) => {
  for (const tag of tags) {
    await pushImage(layer.host, 'app', tag);
    await layer.event(tagMoved, (moved) => moved.tag === tag);
  }
};

test('a durable consumer is told each event once, across kill -9 of itself and of the bus', async () => {
  const seen: { sequence: number; tag: string }[] = [];
  {
    await using first = new Monitor();
    await push('a', 'b');
    await first.sees('b');
    await first[Symbol.asyncDispose]();
    seen.push(...first.seen);
  }
  await push('c');
  await using second = new Monitor();
  await second.sees('c');
  layer.killNow('nats-server');
  await until(async () => (await fetch(`${layer.url}/healthz`)).status === 200, 20_000);
  await push('d', 'e');
  await second.sees('e');
  seen.push(...second.seen);

  const kept: { sequence: number; tag: string }[] = [];
  for await (const past of layer.bus().history({})) {
    if (!('event' in past) || typeOf(past.event) !== 'tag.moved') continue;
    kept.push({ sequence: past.sequence, tag: (past.event.data as { tag: string }).tag });
  }
  assert.deepEqual(seen, kept);
  assert.deepEqual([...new Set(kept.map(({ tag }) => tag))], ['a', 'b', 'c', 'd', 'e']);
});

test('a monitor can change nothing', async () => {
  const read = async (file: string) => (await readFile(join(layer.data, 'bus', file), 'utf8')).trim();
  const bus = await connect({
    servers: await read('url'),
    user: 'monitor',
    pass: await read('monitor.password'),
    inboxPrefix: '_INBOX_monitor',
  });
  const refused: string[] = [];
  void (async () => {
    for await (const { type, permissionContext } of bus.status()) {
      if (type === 'error') refused.push(String(permissionContext?.subject));
    }
  })();
  const subjects = [
    'events.tag.moved',
    'storage.token.create',
    'syncer.pass.start',
    '$KV.configuration.layer',
    '$JS.API.STREAM.DELETE.EVENTS',
    '$JS.API.STREAM.UPDATE.EVENTS',
    '$JS.API.STREAM.PURGE.EVENTS',
    '$JS.API.CONSUMER.CREATE.JOBS.x',
  ];
  for (const subject of subjects) bus.publish(subject);
  await bus.flush();
  await until(() => refused.length >= subjects.length);
  assert.deepEqual(refused, subjects);
  await bus.close();
});
