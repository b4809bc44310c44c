import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser, Page } from 'playwright-core';
import { openPage } from '../../test/page/browser.ts';

/** Times from an action in the page to the frame that shows its answer. */

/** Time for which a pointer rests before a click, in ms. */
const REST_MS = 100;
/** Time after which the first view has been looked at, in ms. */
const SEEN_MS = 2_000;

export type Clicks = Record<string, number>;

/**
 * Runs in the page: acts, waits for what is to be shown, and for the frame that shows it.
 * @param act a statement @param shown an expression that is true once the answer is in the document
 */
const measure = (page: Page, act: string, shown: string): Promise<number> =>
  page.evaluate(`new Promise((resolve, reject) => {
    const start = performance.now();
    const isShown = () => ${shown};
    const timer = setTimeout(() => { observer.disconnect(); reject(new Error('not shown')); }, 20000);
    const look = () => {
      if (!isShown()) return;
      observer.disconnect();
      clearTimeout(timer);
      requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - start)));
    };
    const observer = new MutationObserver(look);
    observer.observe(document.body, { subtree: true, childList: true, characterData: true });
    ${act};
    look();
  })`);

/** Clicks as a pointer does, which rests on what it clicks for a moment. */
async function follow(page: Page, selector: string, shown: string): Promise<number> {
  await page.locator(selector).first().hover();
  await sleep(REST_MS);
  return await measure(page, click(selector), shown);
}

const click = (selector: string) => `document.querySelector(${JSON.stringify(selector)}).click()`;
const heading = (text: string) => `document.querySelector('h1')?.textContent === ${JSON.stringify(text)}`;
const rows = "document.querySelectorAll('tbody tr').length";

/** Opens a page without anything kept, and goes from the first view to a tag. */
export async function clicksOf(browser: Browser, url: string, repository: string): Promise<Clicks> {
  const { page } = await openPage(browser, `${url}/ui/`);
  try {
    await page.locator('.verdict, h1').first().waitFor();
    await page.waitForLoadState();
    // Somebody who clicks has seen the first view before.
    await sleep(SEEN_MS);
    const times: Clicks = {};
    times['open repositories'] = await follow(
      page,
      'header a[href^="#/repositories"]',
      `${heading('Repositories')} && ${rows} > 1`,
    );
    const [, name = ''] = repository.split('/');
    times['filter repositories'] = await measure(
      page,
      `const input = document.querySelector('input[type=search]'); input.value = ${JSON.stringify(name)}; input.dispatchEvent(new Event('input', { bubbles: true }))`,
      `${rows} === 1`,
    );
    times['open 10,000 tags'] = await follow(page, 'tbody th a', `${heading(repository)} && ${rows} > 1`);
    times['open a tag'] = await follow(page, 'tbody th a', "document.querySelector('#annotations')");
    return times;
  } finally {
    await page.context().close();
  }
}
