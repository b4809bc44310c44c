import { setTimeout as sleep } from 'node:timers/promises';
import { unlessAborted } from '#proto/async/unless-aborted.ts';
import { imageConflict, imageFinished } from '#proto/sync/passes.ts';
import { transferDelayed, transferProgressed } from '#proto/sync/transfers.ts';
import { formatBytes } from '../../cli/terminal/figures.ts';
import { type Image, imageOf, sizeOf } from './image.ts';
import type { Narrator } from './narrator.ts';
import { crossed, pull, push, syncState } from './registry-client.ts';
import type { Pace, Stage } from './stage.ts';
import { MAX_WAIT_MS, type WatchedLayer } from './watched-layer.ts';

/** The steps of the story, in their order. Each waits for what it reports, and throws if that does not come true. */

export type Scene = (play: Play) => Promise<void>;
export type Play = { stage: Stage; narrator: Narrator; pace: Pace; signal: AbortSignal };

const APPLICATION = 'line/app';
const RECIPE = 'line/recipe';
const TAG = 'current';

/** Delay between checks of a registry that has no events, in ms. */
const POLL_MS = 200;
/** Share of the update that crosses the link before the cut. */
const CUT_AT = 0.4;
/** Max bytes that may cross the link in addition to an update: headers, and what was on its way at the cut. */
const MAX_ADDED = 1_000_000;

export const scenes: Scene[] = [firstImage, cutDuringUpdate, pushAtTheBottom, conflict];

async function firstImage({ stage, narrator, pace }: Play): Promise<void> {
  const { cloud, site, area, cell } = stage;
  const image = imageOf([baseLayer(pace), { name: 'app-1', bytes: pace.application }]);
  narrator.step('An image goes down, from the cloud to the cell');
  narrator.say(`${APPLICATION}:1 (${formatBytes(sizeOf(image))}) is pushed into the cloud.`);
  await push(cloud.url, APPLICATION, '1', image);
  await Promise.all([
    site.sync(),
    ...[site, area, cell].map(async (layer) => {
      await arrival(layer, APPLICATION, image);
      narrator.say(`${layer.name} has it.`);
    }),
  ]);
  await expectPull(cell.url, APPLICATION, '1', image);
  narrator.say('A client pulls it from the cell: every byte has its digest.', 'good');
}

async function cutDuringUpdate({ stage, narrator, pace, signal }: Play): Promise<void> {
  const { cloud, site, area, cell, link } = stage;
  const before = imageOf([baseLayer(pace), { name: 'app-1', bytes: pace.application }]);
  const image = imageOf([baseLayer(pace), { name: 'app-2', bytes: pace.update }]);
  const update = image.layers[1]?.size ?? 0;
  narrator.step('An update; the link is cut in the middle of it, and restored');
  narrator.say(
    `${APPLICATION}:2 is pushed into the cloud. ${formatBytes(update)} of it are new, the rest is in each layer.`,
  );
  const atStart = { content: await crossed(area.url), link: link.down };
  const stopProgress = reportQuarters(area, narrator, update);
  const cut = link.carried(update * CUT_AT).then(() => link.cut());
  await push(cloud.url, APPLICATION, '2', image);
  const passed = site.sync();
  passed.catch(() => {});
  await unlessAborted(signal, cut);
  narrator.say('CUT: the link between site and area has failed.', 'bad');
  await area.event(
    transferDelayed,
    'a transfer that waits for the link',
    ({ repository }) => repository === APPLICATION,
  );
  narrator.say('area keeps what has arrived, and tries again.');
  await expectPull(cell.url, APPLICATION, '1', before);
  narrator.say(`A client pulls ${APPLICATION}:1 from the cell, below the cut.`, 'good');
  await sleep(pace.cutMs, undefined, { signal });
  link.restore();
  narrator.say('RESTORED: the link is back. The transfer goes on where it was.', 'good');
  await Promise.all([arrival(area, APPLICATION, image), arrival(cell, APPLICATION, image), passed]);
  stopProgress();
  await expectPull(cell.url, APPLICATION, '2', image);
  narrator.say(`area and cell have ${APPLICATION}:2.`);
  const now = await crossed(area.url);
  const once = now.down - atStart.content.down;
  const twice = now.again - atStart.content.again;
  const counted = link.down - atStart.link;
  if (counted > update + MAX_ADDED) throw new Error(`${formatBytes(counted)} crossed the link`);
  narrator.say(
    `${formatBytes(once)} of content have crossed the link, ${formatBytes(twice)} of it twice. With all headers, the link itself has counted ${formatBytes(counted)}.`,
    'good',
  );
}

async function pushAtTheBottom({ stage, narrator, pace }: Play): Promise<void> {
  const { cloud, site, cell } = stage;
  const image = imageOf([{ name: 'recipe-1', bytes: pace.recipe }]);
  narrator.step('A push at the bottom goes up, to the cloud');
  narrator.say(`${RECIPE}:${TAG} (${formatBytes(sizeOf(image))}) is pushed into the cell.`);
  await push(cell.url, RECIPE, TAG, image);
  await arrival(site, RECIPE, image, 'up');
  await expectPull(cloud.url, RECIPE, TAG, image);
  narrator.say('The cloud has it, by way of area and site.', 'good');
}

async function conflict({ stage, narrator, pace, signal }: Play): Promise<void> {
  const { cloud, site, area, cell, link } = stage;
  const small = pace.recipe / 10;
  const [above, below] = [
    imageOf([{ name: 'recipe-above', bytes: small }]),
    imageOf([{ name: 'recipe-below', bytes: small }]),
  ];
  narrator.step('A conflict: both ends change the same tag while the link is cut');
  link.cut();
  narrator.say('CUT: the link between site and area has failed again.', 'bad');
  await push(cell.url, RECIPE, TAG, below);
  await arrival(cell, RECIPE, below, 'up');
  narrator.say(`${RECIPE}:${TAG} is changed in the cell; area has the change.`);
  await push(cloud.url, RECIPE, TAG, above);
  await Promise.all([site.sync(), arrival(site, RECIPE, above)]);
  narrator.say(`${RECIPE}:${TAG} is changed in the cloud, too; site has that change.`);
  await sleep(pace.readMs, undefined, { signal });
  link.restore();
  narrator.say('RESTORED: the link is back.', 'good');
  const { loserTag } = await area.event(
    imageConflict,
    `a conflict about ${RECIPE}:${TAG}`,
    ({ repository, winner, loser }) =>
      repository === RECIPE && winner === above.manifest.digest && loser === below.manifest.digest,
  );
  narrator.say('area finds the conflict. The parent wins, and nothing is lost:');
  for (const [name, url] of [
    ['cell', cell.url],
    ['cloud', cloud.url],
  ] as const) {
    await eventually(signal, async () => {
      await expectPull(url, RECIPE, TAG, above);
      await expectPull(url, RECIPE, loserTag, below);
    });
    narrator.say(`in the ${name}, ${TAG} is what the cloud had, and ${loserTag} what the cell had.`, 'good');
  }
  for (const layer of [site, area, cell]) await eventually(signal, () => expectInSync(layer));
  narrator.say('All layers report that they are equal to their parents.', 'good');
}

const baseLayer = ({ base }: Pace) => ({ name: 'base', bytes: base });

/** Resolves when the image has arrived in the layer, or at its parent. */
async function arrival(
  layer: WatchedLayer,
  name: string,
  { manifest }: Image,
  direction: 'down' | 'up' = 'down',
) {
  await layer.event(
    imageFinished,
    `${name} arrives`,
    (image) => image.repository === name && image.digest === manifest.digest && image.direction === direction,
  );
}

async function expectPull(registry: string, name: string, tag: string, { manifest }: Image): Promise<void> {
  const digest = await pull(registry, name, tag);
  if (digest !== manifest.digest)
    throw new Error(`${name}:${tag} of ${registry} is ${digest}, not ${manifest.digest}`);
}

/** Repeats a check until it does not throw. @throws what it threw last, after `MAX_WAIT_MS` */
async function eventually(signal: AbortSignal, check: () => Promise<void>): Promise<void> {
  const end = performance.now() + MAX_WAIT_MS;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > end) throw error;
      await sleep(POLL_MS, undefined, { signal });
    }
  }
}

async function expectInSync({ name, url }: WatchedLayer): Promise<void> {
  const state = await syncState(url);
  if (state !== 'in-sync') throw new Error(`${name} is not equal to its parent: ${state}`);
}

/** Says how much of the blob of this size has arrived, each quarter once. @returns ends that */
function reportQuarters(layer: WatchedLayer, narrator: Narrator, bytes: number): () => void {
  let reported = 0;
  return layer.on(transferProgressed, ({ size, done, direction }) => {
    const quarter = Math.floor((4 * done) / size);
    if (size !== bytes || direction !== 'down' || quarter <= reported || done === size) return;
    reported = quarter;
    narrator.say(`${layer.name} has ${formatBytes(done)} of ${formatBytes(size)}.`);
  });
}
