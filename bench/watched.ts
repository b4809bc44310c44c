import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser, Page } from 'playwright-core';
import { executablePath, openPage, startBrowser } from '../test/page/browser.ts';
import { type TestLayer, testLayer } from '../test/support/layer.ts';
import { pushImage } from '../test/support/registry/image.ts';
import { cpuSeconds } from './cpu-seconds.ts';
import { type Comparison, median, type Options, type Subject } from './measure.ts';
import { memoryOf } from './resident.ts';
import { createTags } from './tags.ts';
import { TemporaryFolder } from './temporary-folder.ts';
import { clicksOf } from './watched/clicks.ts';
import { EVENTS_PER_SECOND, EventSource } from './watched/event-source.ts';
import type { PullTarget, PullTimes } from './watched/pulls.ts';
import { Thread } from './watched/worker.ts';

const TAGS = 10_000;
const REPOSITORIES = 20;
const VIEWERS = 10;
/** Events a second that a page asks for: page/views/events.tsx. */
const PAGE_RATE = 50;
const REPOSITORY = 'bench/watched';
const BLOB_BYTES = 1024 * 1024;
/** Time of one contender in a round, in s. */
const ROUND_S = 10;
/** Memory is read when the viewers have come, and after these times, in s. */
const MEMORY_S = [20, 60];
const MAX_CLICK_ROUNDS = 10;
/** An event of a stream has more. A reader that got a second of them got them. */
const MIN_EVENT_BYTES = 100;

type Watching = (url: string) => Promise<AsyncDisposable>;

/** What ten open pages cost a layer in which much happens, and how fast the page answers then. */
export const watched: Subject = async (options) => {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await TemporaryFolder.create());
  const layer = stack.use(await testLayer({ name: 'bench', logLevel: 'warn' }));
  const target = await fill(layer, options);
  // The test keeps all events that it receives.
  const forget = setInterval(() => layer.events.splice(0), 1_000);
  stack.defer(() => clearInterval(forget));
  const gateway = layer.pid('gateway');
  const contenders: Record<string, { events: boolean; viewers?: Watching }> = {
    'nothing happens, nobody looks': { events: false },
    'events, nobody looks': { events: true },
    'events, ten readers': { events: true, viewers: (url) => readers(url, PAGE_RATE) },
    'events, ten readers of all': { events: true, viewers: (url) => readers(url, EVENTS_PER_SECOND) },
  };
  if (executablePath && options.full) {
    const browser = await lowBrowser(folder.path);
    stack.defer(() => browser.close());
    contenders['events, ten pages'] = { events: true, viewers: (url) => pages(browser, url) };
  }
  const figures = new Map<string, Record<string, number[]>>();
  const add = (figure: string, name: string, value: number) => {
    const values = figures.get(figure) ?? {};
    values[name] = [...(values[name] ?? []), value];
    figures.set(figure, values);
  };
  for (let round = 0; round < options.rounds; round += 1) {
    const all = Object.entries(contenders);
    for (let turn = 0; turn < all.length; turn += 1) {
      const [name, { events, viewers }] = all[(turn + round) % all.length]!;
      options.progress(`watched: ${name}, round ${round + 1} of ${options.rounds}`);
      await using each = new AsyncDisposableStack();
      if (viewers) each.use(await viewers(layer.url));
      const source = events ? each.use(await EventSource.start(layer.data)) : undefined;
      const [cpu, stored, start] = [await cpuSeconds([gateway]), source?.stored ?? 0, performance.now()];
      const times = await pull({ ...target, seconds: ROUND_S });
      const seconds = (performance.now() - start) / 1_000;
      for (const [what, list] of Object.entries(times)) {
        const of = what === 'both' ? 'manifest and blob of 1 MiB' : 'manifest';
        add(`${of}: half of the pulls within`, name, quantile(list, 0.5));
        add(`${of}: 99 % of the pulls within`, name, quantile(list, 0.99));
      }
      add(
        'CPU time of the gateway, of one processor',
        name,
        (100 * ((await cpuSeconds([gateway])) - cpu)) / seconds,
      );
      if (source) add('events stored per second', name, (source.stored - stored) / seconds);
    }
  }
  const latencies = [...figures].map(
    ([subject, values]): Comparison => ({
      subject,
      unit: subject.startsWith('CPU') ? '%' : subject.startsWith('events') ? '/s' : 'ms',
      better: subject.startsWith('events') ? 'more' : 'less',
      values,
      ratios: false,
      notes: ratiosOf(values),
    }),
  );
  return [...latencies, ...(await minute(layer, target, options))];
};

/** A minute with all at once: memory of the processes, and, in another browser, times of clicks. */
async function minute(layer: TestLayer, target: Target, { progress }: Options): Promise<Comparison[]> {
  await using stack = new AsyncDisposableStack();
  progress('watched: a minute of events, ten readers, pulls and clicks');
  const source = stack.use(await EventSource.start(layer.data));
  stack.use(await readers(layer.url, EVENTS_PER_SECOND));
  const { 'nats-server': _bus, ...pids } = layer.pids();
  const memory: Record<string, number[]> = {};
  const end = Date.now() + Math.max(...MEMORY_S) * 1_000;
  const measuring = (async () => {
    const begin = performance.now();
    for (const second of [0, ...MEMORY_S]) {
      await sleep(Math.max(0, begin + second * 1_000 - performance.now()));
      for (const [name, pid] of Object.entries(pids)) {
        memory[`${name}, after ${second} s`] = [await memoryOf(pid, 'VmRSS')];
      }
    }
  })();
  const clicks: Record<string, number[]> = {};
  const clicking = (async () => {
    if (!executablePath) return;
    const browser = await startBrowser();
    stack.defer(() => browser.close());
    for (let round = 0; round < MAX_CLICK_ROUNDS && Date.now() < end - 5_000; round += 1) {
      for (const [name, ms] of Object.entries(await clicksOf(browser, layer.url, REPOSITORY))) {
        clicks[name] = [...(clicks[name] ?? []), ms];
      }
    }
  })();
  await Promise.all([measuring, clicking, pull({ ...target, seconds: Math.max(...MEMORY_S) })]);
  const common = { better: 'less', ratios: false } as const;
  const rate = Math.round(source.stored / Math.max(...MEMORY_S));
  return [
    {
      ...common,
      subject: 'resident memory in a minute of events, ten readers, pulls and clicks',
      unit: 'MB',
      values: memory,
      notes: [`${rate} events were stored per second, of ${EVENTS_PER_SECOND} that were published.`],
    },
    ...(executablePath
      ? [{ ...common, subject: 'from a click in the page to its painted answer', unit: 'ms', values: clicks }]
      : []),
  ];
}

type Target = Omit<PullTarget, 'seconds'>;

async function fill(layer: TestLayer, { progress }: Options): Promise<Target> {
  progress(`watched: creating ${TAGS} tags`);
  const { digest, layers } = await pushImage(layer.host, REPOSITORY, 'latest', { layers: [BLOB_BYTES] });
  const names = Array.from({ length: TAGS }, (_, n) => `tag-${String(n).padStart(5, '0')}`);
  await createTags(layer.url, REPOSITORY, digest, names);
  for (let n = 0; n < REPOSITORIES; n += 1) await pushImage(layer.host, `line/${n}`, '1', { layers: [100] });
  return { url: layer.url, repository: REPOSITORY, tag: 'latest', digest: layers[0]?.digest ?? '' };
}

async function pull(target: PullTarget): Promise<PullTimes> {
  await using thread = new Thread('pulls.ts', target);
  return await thread.message<PullTimes>();
}

/** Readers that ask for this many events a second each. */
async function readers(url: string, rate: number): Promise<AsyncDisposable> {
  const thread = new Thread('readers.ts', {
    url,
    readers: VIEWERS,
    ...(rate < EVENTS_PER_SECOND && { rate }),
  });
  await thread.message();
  return {
    [Symbol.asyncDispose]: async () => {
      await using _ended = thread;
      const bytes = await thread.message<number>();
      if (bytes < VIEWERS * rate * MIN_EVENT_BYTES) throw new Error(`readers got ${bytes} bytes`);
    },
  };
}

/** A browser that yields to everything else: those who look have machines of their own. */
async function lowBrowser(folder: string): Promise<Browser> {
  const program = join(folder, 'low-browser');
  await writeFile(program, `#!/bin/sh\nexec nice -n 5 ${executablePath} "$@"\n`);
  await chmod(program, 0o755);
  return await startBrowser(program);
}

/** Five pages with the first view, and five with all events. */
async function pages(browser: Browser, url: string): Promise<AsyncDisposable> {
  const opened: Page[] = [];
  for (let n = 0; n < VIEWERS; n += 1) {
    const { page } = await openPage(browser, `${url}/ui/${n % 2 ? '#/events' : ''}`);
    await page.locator('h1').first().waitFor();
    opened.push(page);
  }
  return {
    [Symbol.asyncDispose]: async () => {
      for (const page of opened) await page.context().close();
    },
  };
}

const quantile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ??
  Number.NaN;

/** Of the contenders with viewers, to the same without. */
function ratiosOf(values: Record<string, number[]>): string[] {
  const without = values['events, nobody looks'];
  if (!without) return [];
  const withViewers = Object.entries(values).filter(([name]) => name.startsWith('events, ten'));
  return withViewers.map(
    ([name, list]) => `${name}: ${(median(list) / median(without)).toFixed(2)} × of nobody looks`,
  );
}
