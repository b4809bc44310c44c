import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import type { Browser, Page, Route } from 'playwright-core';
import { until } from '../support/until.ts';
import { DESKTOP, needsBrowser, openPage, PHONE, type Screen, startBrowser } from './browser.ts';
import { StandIn } from './stand-in.ts';

/** The page in a browser, against answers of a good and a bad day. */

let browser: Browser;
before(async () => {
  if (!needsBrowser.skip) browser = await startBrowser();
});
after(async () => await browser?.close());

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

type Violation = { id: string; nodes: { target: string[]; failureSummary: string }[] };

/** Violations of WCAG 2.2 A and AA, and of good practice. */
async function violations(page: Page): Promise<string[]> {
  if (!(await page.evaluate('"axe" in window'))) await page.evaluate(axe);
  const found = (await page.evaluate(
    'axe.run({ resultTypes: ["violations"] }).then(({ violations }) => violations)',
  )) as Violation[];
  return found.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id} ${target.join(' ')}: ${failureSummary}`),
  );
}

/** Waits for the rows of a table: it has only the first ones when it is painted first. */
async function rows(page: Page, count: number): Promise<void> {
  await page.locator(`tbody tr:nth-child(${count})`).waitFor({ state: 'attached' });
  await until(async () => (await page.locator('tbody tr').count()) === count);
}

const VIEWS: [fragment: string, ready: string][] = [
  ['#/', '.transfer'],
  ['#/repositories', 'tbody tr'],
  ['#/repositories/line%2Fweb', 'tbody tr'],
  ['#/repositories/line%2Fweb/manifests/2', '#referrers'],
  ['#/events', 'tbody tr'],
  ['#/layers', 'tbody tr'],
  ['#/accounts', '#tokens'],
  ['#/settings', '#fields'],
];

const screens: [name: string, screen: Screen][] = [
  ['desktop', DESKTOP],
  ['phone', PHONE],
  ['dark', { ...DESKTOP, scheme: 'dark' }],
];

for (const [name, screen] of screens) {
  test(
    `every view (${name}) has no violation of axe, no error in the console, and asks no other host`,
    needsBrowser,
    async () => {
      await using standIn = await StandIn.start('bad');
      const { page, errors, hosts } = await openPage(browser, `${standIn.url}/ui/`, screen);
      for (const [fragment, ready] of VIEWS) {
        await page.goto(`${standIn.url}/ui/${fragment}`);
        await page.locator(ready).first().waitFor();
        assert.deepEqual(await violations(page), [], fragment);
        const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
        assert.equal(overflow, 0, `${fragment} is wider than the screen`);
      }
      await page.keyboard.press('?');
      await page.getByRole('dialog').waitFor();
      assert.deepEqual(await violations(page), [], 'help');
      assert.deepEqual(errors, []);
      assert.deepEqual([...hosts], [new URL(standIn.url).host]);
      await page.context().close();
    },
  );
}

test('the first view says what the answers say', needsBrowser, async () => {
  await using standIn = await StandIn.start('bad');
  const { page } = await openPage(browser, `${standIn.url}/ui/`);
  await page.locator('.transfer').first().waitFor();
  // biome-ignore lint/performance/useDomNodeTextContent: the text as it is on the screen
  const shown = (await page.locator('main').innerText()).replace(/\s+/g, ' ');
  for (const text of [
    'Behind and ahead',
    '3 tags missing, 1.2 GB to transfer; 2 manifests to push, 1 refused by the parent',
    'site.example.com',
    'Syncing last sync 12 min ago',
    'limit 4.0 MB/s',
    'warehouse Cut off',
    'filling Behind by 4 tags, 820 MB',
    '3 layers below: 2 in sync, 1 cut off',
    'line/web:2 39 %',
    '12.0 MB of 31.0 MB, 2.1 MB/s, 9 s left 371 MB saved, 2 blobs',
    'Deltas saved 4.1 GB of 4.7 GB (87 %) in 61 transfers since 1 d 2 h',
    '23 deltas kept for the layers below: 318 MB of 2.1 GB',
    'line/plc-config:7',
    'the signature of line/web:2 is not at the parent',
    'Below the reserve: no new content',
  ]) {
    assert.ok(shown.includes(text), `${text} in: ${shown}`);
  }
  assert.match(await page.title(), /^\(3\) Behind and ahead: line-3$/);
  await page.context().close();
});

test(
  'a change is confirmed where it matters, sent once, and offered only to those who may',
  needsBrowser,
  async () => {
    await using standIn = await StandIn.start('bad');
    standIn.account = 'operator';
    const { page } = await openPage(browser, `${standIn.url}/ui/`);
    await page.getByRole('button', { name: 'Pause', exact: true }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    assert.deepEqual(standIn.changes, []);
    await page.getByRole('button', { name: 'Pause', exact: true }).click();
    await page.getByLabel('Reason').fill('maintenance');
    await page.keyboard.press('Enter');
    await page.getByText('The link is paused.').waitFor();
    await page.keyboard.press('s');
    await page.getByText(/^Pass .* begins\.$/).waitFor();
    assert.deepEqual(standIn.changes, ['POST /link/pause 1', 'POST /sync 1']);
    standIn.account = 'wall';
    await page.reload();
    await page.getByText('reads only').waitFor();
    await page.locator('.transfer').first().waitFor();
    const buttons = await page.locator('main').getByRole('button').allInnerTexts();
    assert.deepEqual(buttons, []);
    await page.keyboard.press('s');
    assert.equal(standIn.changes.length, 2);
    await page.context().close();
  },
);

test('a session that ended leads to the login, and the login back to the view', needsBrowser, async () => {
  await using standIn = await StandIn.start('good');
  standIn.account = 'operator';
  standIn.isLoggedIn = false;
  const { page } = await openPage(browser, `${standIn.url}/ui/#/accounts`);
  await page.getByLabel('Token').fill('operator');
  await page.getByLabel('Password').fill('a long password');
  assert.deepEqual(await violations(page), []);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.locator('#tokens').waitFor();
  standIn.isLoggedIn = false;
  await page.keyboard.press('r');
  await page.getByText('The session has ended: log in again.').waitFor();
  await page.context().close();
});

test(
  'a gateway that comes and goes: the page says so, keeps the last state, and resumes',
  needsBrowser,
  async () => {
    await using standIn = await StandIn.start('good');
    const { page } = await openPage(browser, `${standIn.url}/ui/#/events`);
    await page.getByText('Live', { exact: true }).waitFor();
    standIn.emit(3);
    const last = standIn.sequence;
    await page.getByRole('rowheader', { name: String(last) }).waitFor();
    standIn.cut();
    await page.getByText(/No answer from this layer/).waitFor();
    assert.equal(await page.getByRole('rowheader', { name: String(last) }).count(), 1);
    assert.match(await page.title(), /^No answer/);
    standIn.isCut = false;
    await page.getByText(/No answer from this layer/).waitFor({ state: 'detached' });
    await until(() => standIn.streams.at(-1)?.get('after') === String(last));
    await page.getByText('Live', { exact: true }).waitFor();
    standIn.emit(1);
    await page.getByRole('rowheader', { name: String(last + 1) }).waitFor();
    await page.context().close();
  },
);

test(
  'a proxy that answers in place of the layer: the page keeps its session and the last state, and resumes',
  needsBrowser,
  async () => {
    await using standIn = await StandIn.start('good');
    const { page } = await openPage(browser, `${standIn.url}/ui/#/events`);
    await page.getByText('Live', { exact: true }).waitFor();
    standIn.emit(1);
    const shown = page.getByRole('rowheader', { name: String(standIn.sequence) });
    await shown.waitFor();
    standIn.restart(502);
    await page.getByText(/No answer from this layer/).waitFor();
    assert.match(await page.title(), /^No answer/);
    assert.equal(await shown.count(), 1);
    standIn.statuses.clear();
    await page.getByText(/No answer from this layer/).waitFor({ state: 'detached' });
    await page.getByText('Live', { exact: true }).waitFor();
    await page.context().close();
  },
);

test('a page that is opened during an outage begins by itself', needsBrowser, async () => {
  await using standIn = await StandIn.start('good');
  standIn.restart(503);
  const { page } = await openPage(browser, `${standIn.url}/ui/`);
  await page.getByText('The gateway answers 503.').waitFor();
  await until(() => standIn.requests.filter((path) => path === '/session').length >= 2);
  standIn.statuses.clear();
  await page.getByRole('heading', { level: 1, name: 'In sync' }).waitFor();
  await page.context().close();
});

test(
  'a verdict is marked as long as the layer does not answer; other answers may fail',
  needsBrowser,
  async () => {
    await using standIn = await StandIn.start('good');
    standIn.statuses.set('/parked', 503).set('/passes', 503);
    const { page } = await openPage(browser, `${standIn.url}/ui/`);
    await page.getByRole('heading', { level: 1, name: 'In sync' }).waitFor();
    await until(() => standIn.requests.includes('/passes'));
    await page.getByText('The gateway answers 503.').first().waitFor();
    assert.equal(await page.getByText(/No answer from this layer/).count(), 0);
    standIn.statuses.set('/layer', 503);
    await page.keyboard.press('r');
    await page.getByText(/No answer from this layer/).waitFor();
    const asked = () => standIn.requests.filter((path) => path === '/layer').length;
    const before = asked();
    await page.getByRole('button', { name: 'Try now' }).click();
    await until(() => asked() > before);
    await page.getByText(/No answer from this layer/).waitFor();
    assert.equal(await page.locator('main.stale').count(), 1);
    standIn.statuses.clear();
    await page.getByText(/No answer from this layer/).waitFor({ state: 'detached' });
    await page.context().close();
  },
);

test('what a link leads to is requested while the pointer rests on it, and once', needsBrowser, async () => {
  await using standIn = await StandIn.start('good');
  const { page } = await openPage(browser, `${standIn.url}/ui/`);
  const requests = () => standIn.reads.filter((read) => read.startsWith('/repositories?'));
  await page.locator('header a[href="#/repositories"]').hover();
  await until(() => requests().length === 1);
  await page.locator('header a[href="#/repositories"]').click();
  await page.locator('tbody th a').first().waitFor();
  await page.locator('tbody th a').first().focus();
  await until(() => standIn.reads.some((read) => /^\/repositories\/.+\/tags\?limit=/.test(read)));
  assert.equal(new Set(requests()).size, 1);
  await page.context().close();
});

test('a chart that was left draws no more', needsBrowser, async () => {
  await using standIn = await StandIn.start('good');
  const { page } = await openPage(browser, `${standIn.url}/ui/`);
  await page.locator('.chart canvas').waitFor();
  await page.evaluate(`(() => {
    window.drawn = 0;
    const { clearRect } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.clearRect = function (...rectangle) {
      if (!this.canvas.isConnected) window.drawn += 1;
      return clearRect.apply(this, rectangle);
    };
  })()`);
  await page.locator('header a[href="#/repositories"]').click();
  await page.locator('tbody th a').first().waitFor();
  // Sizes are reported before a frame is painted.
  await page.evaluate('new Promise((done) => requestAnimationFrame(() => setTimeout(done)))');
  assert.equal(await page.evaluate('window.drawn'), 0);
  await page.context().close();
});

test('a filter shows what is known before the gateway answers', needsBrowser, async () => {
  await using standIn = await StandIn.start('good');
  const { page } = await openPage(browser, `${standIn.url}/ui/#/repositories`);
  await page.getByRole('rowheader', { name: 'line/web' }).waitFor();
  const held: Route[] = [];
  await page.route(/\/repositories\?.*match=/, (route) => void held.push(route));
  await page.getByRole('searchbox').fill('LINE/w');
  await rows(page, 1);
  await page.getByRole('rowheader', { name: 'line/web' }).waitFor();
  for (const route of held) await route.continue();
  await page.unrouteAll();
  await page.context().close();
});

test('10,000 tags come in pages that the keyboard reaches', needsBrowser, async () => {
  await using standIn = await StandIn.start('good');
  const { page } = await openPage(browser, `${standIn.url}/ui/#/repositories/line%2Fweb`);
  await page.getByRole('rowheader', { name: '1.0.0', exact: true }).waitFor();
  await rows(page, 100);
  await page.getByRole('button', { name: 'Next' }).press('Enter');
  await page.getByRole('rowheader', { name: '1.1.0', exact: true }).waitFor();
  await rows(page, 100);
  await page.keyboard.press('/');
  assert.equal(await page.evaluate('document.activeElement.type'), 'search');
  await page.context().close();
});

test('1,000 events at once leave the list bounded and the page answering', needsBrowser, async () => {
  await using standIn = await StandIn.start('good');
  const { page, errors } = await openPage(browser, `${standIn.url}/ui/#/events`);
  await page.getByText('Live', { exact: true }).waitFor();
  for (let burst = 0; burst < 5; burst += 1) standIn.emit(1_000);
  await page.getByRole('rowheader', { name: String(standIn.sequence) }).waitFor();
  await rows(page, 300);
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.getByText('Paused', { exact: true }).waitFor();
  standIn.emit(1);
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('rowheader', { name: String(standIn.sequence) }).waitFor();
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('the keyboard alone reaches every view, in the order of the page', needsBrowser, async () => {
  await using standIn = await StandIn.start('bad');
  const { page } = await openPage(browser, `${standIn.url}/ui/`);
  await page.locator('.transfer').first().waitFor();
  const focused = async () => {
    await page.keyboard.press('Tab');
    return await page.evaluate('document.activeElement.textContent.trim()');
  };
  const first = [];
  for (let count = 0; count < 8; count += 1) first.push(await focused());
  assert.deepEqual(first, [
    'Skip to content',
    'line-3',
    'Overview',
    'Repositories',
    'Layers below',
    'Events',
    'Accounts',
    'Settings',
  ]);
  for (const [keys, heading] of [
    ['gr', 'Repositories'],
    ['gl', 'Layers below'],
    ['ge', 'Events'],
    ['ga', 'Accounts'],
    ['gs', 'Settings in force'],
    ['go', 'Behind and ahead'],
  ] as const) {
    for (const key of keys) await page.keyboard.press(key);
    await page.getByRole('heading', { level: 1, name: heading }).waitFor();
  }
  await page.context().close();
});
