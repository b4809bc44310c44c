import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DESKTOP, openPage, PHONE, type Screen, startBrowser } from './browser.ts';
import { StandIn } from './stand-in.ts';

/** Writes the pictures of docs/images: `node test/page/screenshots.ts`. */

const folder = join(import.meta.dirname, '../../docs/images');

const pictures: [name: string, fragment: string, screen: Screen, ready: string][] = [
  ['overview', '', DESKTOP, '.chart canvas'],
  ['overview-dark', '', { ...DESKTOP, scheme: 'dark' }, '.chart canvas'],
  ['overview-phone', '', PHONE, '.chart canvas'],
];

mkdirSync(folder, { recursive: true });
await using standIn = await StandIn.start('bad');
const browser = await startBrowser();
for (const [name, fragment, screen, ready] of pictures) {
  const { page } = await openPage(browser, `${standIn.url}/ui/${fragment}`, screen);
  await page.locator(ready).first().waitFor();
  await page.evaluate('document.fonts.ready');
  await page.screenshot({ path: join(folder, `${name}.png`) });
  await page.context().close();
}
await browser.close();
