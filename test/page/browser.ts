import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';
import { buildPage, isStale } from '../../page/build.ts';

/** Debian's chromium, for tests of the page. */

const PATHS = ['/usr/bin/chromium', '/usr/bin/chromium-browser'];
export const executablePath = process.env.TERRACE_CHROMIUM ?? PATHS.find((path) => existsSync(path));

/** Option of a test: the reason to skip it, if there is no browser. */
export const needsBrowser = {
  skip: executablePath ? false : 'chromium is not installed: apt-get install chromium',
};

/** Starts the browser, or another program that does, with a page that is built from the present sources. */
export async function startBrowser(program = executablePath): Promise<Browser> {
  if (isStale()) await buildPage();
  return await chromium.launch({
    executablePath: program as string,
    // The tests may run as root and in a container with little shared memory.
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
  });
}

export type Screen = { width: number; height: number; scheme?: 'light' | 'dark'; scale?: number };

export const DESKTOP: Screen = { width: 1_440, height: 900 };
export const PHONE: Screen = { width: 390, height: 844 };

/** A page of its own, and what it logged as errors: also what its Content-Security-Policy refused. */
export async function openPage(
  browser: Browser,
  url: string,
  { width, height, scheme = 'light', scale = 1 }: Screen = DESKTOP,
): Promise<{ page: Page; errors: string[]; hosts: Set<string> }> {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: scheme,
    deviceScaleFactor: scale,
    ignoreHTTPSErrors: true,
  });
  const page = await context.newPage();
  const errors: string[] = [];
  const hosts = new Set<string>();
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') errors.push(message.text());
  });
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('request', (request) => hosts.add(new URL(request.url()).host));
  await page.goto(url);
  return { page, errors, hosts };
}
