import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import type { Layer } from '#proto/api/layer.ts';
import type { Layers } from '#proto/api/layers.ts';
import type { ParkedList } from '#proto/api/pending.ts';
import type { Tags } from '#proto/api/repositories.ts';
import { imageName, shortDigest } from '../../page/format/names.ts';
import { plural } from '../../page/format/quantities.ts';
import { linkView } from '../../page/state/link-view.ts';
import { verdictOf } from '../../page/state/verdict.ts';
import { testLayer } from '../support/layer.ts';
import { FaultProxy } from '../support/proxy/fault-proxy.ts';
import { pushArtifact, pushImage, tagsOf } from '../support/registry/image.ts';
import { smallVolume } from '../support/small-volume.ts';
import { runCommand } from '../support/terrace.ts';
import { until } from '../support/until.ts';
import { needsBrowser, openPage, startBrowser } from './browser.ts';

/** What the page of the middle one of three layers says, against its API and the registries, while things go wrong. */

const LISTED = 'line/app';
const REFUSED = /^\/v2\/line\/locked\/manifests\/1$/;

/**
 * Of the layer whose page is read; its volume holds what the test pushes. A full volume has more free than storage
 * needs to keep its ballast, and with the ballast it would still be below the reserve.
 */
const RESERVE = '40MB';
const FREE_WHEN_FULL = 15_000_000;

async function startSystem(stack: AsyncDisposableStack) {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-page-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const configFile = join(folder, 'plant.yaml');
  const configure = (reserve: string) => writeFile(configFile, `reserve: ${reserve}\n`);
  await configure(RESERVE);
  const volume = await smallVolume(192);
  if (volume) stack.use(volume);
  /** Without the right to mount a volume, the reserve is raised above what is free. */
  const fillDisk = async () => void (volume ? await volume.fill(FREE_WHEN_FULL) : await configure('900TB'));
  const site = stack.use(await testLayer({ name: 'site', compact: true }));
  const link = stack.use(await FaultProxy.start(site.url));
  const plant = stack.use(
    await testLayer({
      name: 'plant',
      parent: link.url,
      repositories: ['*'],
      mode: 'ReadWrite',
      compact: true,
      configFile,
      ...(volume && { data: join(volume.path, 'data') }),
    }),
  );
  const cell = stack.use(
    await testLayer({
      name: 'cell',
      parent: plant.url,
      repositories: ['*'],
      mode: 'ReadOnly',
      compact: true,
    }),
  );
  return { site, link, plant, cell, fillDisk };
}

const api = async <T>(url: string, path: string): Promise<T> =>
  (await (await fetch(`${url}/api/v1${path}`)).json()) as T;

/** Waits until the text is on the page; its figures are read every few seconds. */
async function shows(page: Page, ...texts: string[]): Promise<void> {
  const missing = async () => {
    // biome-ignore lint/performance/useDomNodeTextContent: the text as it is on the screen
    const shown = (await page.locator('main').innerText()).replace(/\s+/g, ' ').toLowerCase();
    return texts.filter((text) => !shown.includes(text.replace(/\s+/g, ' ').toLowerCase()));
  };
  await until(async () => (await missing()).length === 0, `the page shows ${texts.join(', ')}`);
}

test('the page says what is wrong in a system of three layers', needsBrowser, async (t) => {
  await using stack = new AsyncDisposableStack();
  const { site, link, plant, cell, fillDisk } = await startSystem(stack);
  const browser = await startBrowser();
  stack.defer(() => browser.close());
  const { page, errors } = await openPage(browser, `${plant.url}/`);

  await t.test('in sync: the same tags as at the parent, and the layer below is known', async () => {
    await pushImage(site.host, LISTED, '1');
    await pushImage(site.host, LISTED, '2');
    assert.ok((await plant.sync({ full: true })).ok);
    assert.ok((await cell.sync({ full: true })).ok);
    assert.deepEqual(await tagsOf(plant.host, LISTED), await tagsOf(site.host, LISTED));
    await until(async () => (await api<Layers>(plant.url, '/layers')).items[0]?.held?.tags === 2);
    const { held } = await api<Layer>(plant.url, '/layer');
    await shows(page, 'In sync', plural(held?.tags ?? 0, 'tag'), 'Online', '1 layer below', 'cell');
  });

  await t.test('a conflict: the tag of the loser is there and says so', async () => {
    await pushImage(site.host, LISTED, '2', { layers: [{ seed: 'site', size: 2_000 }] });
    await pushImage(plant.host, LISTED, '2', { layers: [{ seed: 'plant', size: 2_000 }] });
    await plant.sync();
    const loser = (await tagsOf(plant.host, LISTED)).find((tag) => tag.startsWith('2.conflict-plant-'));
    assert.ok(loser);
    await page.goto(`${plant.url}/ui/#/repositories/${encodeURIComponent(LISTED)}`);
    const { items } = await api<Tags>(plant.url, `/repositories/${LISTED}/tags`);
    for (const { tag, digest } of items) await shows(page, tag, shortDigest(digest ?? ''));
    await shows(page, loser, 'Conflict tag');
  });

  await t.test('what the parent refuses, and a referrer that it does not provide', async () => {
    const subject = await pushImage(site.host, LISTED, '3');
    const note = await pushArtifact(site.host, LISTED, { subject });
    link.fault(({ method, path }) => {
      if (method === 'PUT' && REFUSED.test(path)) return denied('the tag is locked');
      return path.includes(`/manifests/${note.digest}`) ? { answer: { status: 404 } } : undefined;
    });
    await pushImage(plant.host, 'line/locked', '1');
    const { leftOut } = await plant.sync({ full: true });
    assert.equal(leftOut?.referrers, 1);
    const { items } = await api<ParkedList>(plant.url, '/parked');
    assert.deepEqual(
      items.map(({ repository, reference }) => imageName(repository, reference)),
      ['line/locked:1'],
    );
    await page.goto(`${plant.url}/ui/`);
    const layer = await api<Layer>(plant.url, '/layer');
    await shows(page, 'line/locked:1', 'the tag is locked', verdictOf(layer, layer.now).headline);
    for (const { what, remedy } of layer.problems) await shows(page, what, remedy);
  });

  await t.test('a full disk', async () => {
    await fillDisk();
    await until(async () => (await api<Layer>(plant.url, '/layer')).space?.low === true);
    await shows(page, 'Below the reserve: no new content', '0 B usable');
  });

  await t.test('a cut link: the layer is no longer called in sync with its parent', async () => {
    await link.down();
    await page.getByRole('button', { name: 'Sync now' }).click();
    await until(async () => (await api<Layer>(plant.url, '/layer')).link?.state === 'Offline');
    const layer = await api<Layer>(plant.url, '/layer');
    await shows(page, linkView(layer.link).label, verdictOf(layer, layer.now).headline);
    // biome-ignore lint/performance/useDomNodeTextContent: the text as it is on the screen
    assert.notEqual(await page.locator('h1').innerText(), 'In sync');
  });

  await t.test('the gateway ends and comes back', async () => {
    await plant.stop();
    await page.getByText(/No answer from this layer/).waitFor();
    await plant.start();
    await page.getByText(/No answer from this layer/).waitFor({ state: 'detached' });
    await shows(page, 'line/locked:1');
    // What was left out is still known, also after the cut, the full disk and the restart.
    await until(async () => (await api<Layer>(plant.url, '/layer')).sync?.leftOut === 1);
  });

  assert.deepEqual(
    errors.filter(
      (error) => !/ERR_CONNECTION_(?:REFUSED|RESET)|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE|503/.test(error),
    ),
    [],
  );
});

const denied = (message: string) => ({
  answer: { status: 403, body: JSON.stringify({ errors: [{ code: 'DENIED', message }] }) },
});

test(
  'a person logs in with a token, sees what it may, and is out once it is disabled',
  needsBrowser,
  async () => {
    await using stack = new AsyncDisposableStack();
    const layer = stack.use(await testLayer({ name: 'plant', compact: true }));
    const account = async (name: string, ...parameters: string[]) => {
      const { stdout } = await runCommand(
        'token',
        'create',
        name,
        ...parameters,
        '--json',
        '--data',
        layer.data,
      );
      return (JSON.parse(stdout) as { password: string }).password;
    };
    const reader = await account('wall', '--operate', 'read');
    const operator = await account('operator', '--operate');
    const client = await account('client', '--pull', '*');
    const browser = await startBrowser();
    stack.defer(() => browser.close());
    const { page } = await openPage(browser, `${layer.url}/`);
    const logIn = async (name: string, password: string) => {
      await page.getByLabel('Token').fill(name);
      await page.getByLabel('Password').fill(password);
      await page.getByRole('button', { name: 'Log in' }).click();
    };

    await logIn('wall', 'a wrong password');
    await page.getByRole('alert').waitFor();
    await logIn('client', client);
    await page.getByText('client may not see this layer').waitFor();
    await logIn('wall', reader);
    await page.getByRole('heading', { level: 1, name: 'Top layer' }).waitFor();
    assert.equal(await page.locator('main').getByRole('button').count(), 0);
    const [cookie] = await page.context().cookies();
    assert.deepEqual([cookie?.httpOnly, cookie?.sameSite], [true, 'Strict']);
    await page.getByRole('button', { name: 'Log out' }).click();

    await logIn('operator', operator);
    await page.getByRole('button', { name: 'Scrub' }).click();
    await page.getByRole('button', { name: 'Begin scrub' }).click();
    await page.getByText(/^The scrub runs/).waitFor();
    await runCommand('token', 'disable', 'operator', '--data', layer.data);
    await page.getByText('The session has ended: log in again.').waitFor();
  },
);
