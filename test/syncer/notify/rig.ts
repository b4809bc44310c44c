import { createHash } from 'node:crypto';
import { manifestDeleted, storageStarted, tagMoved } from '#proto/content/content-events.ts';
import type { Log } from '#proto/contract/log.ts';
import { notificationsOf, type Webhook } from '#proto/document/notifications.ts';
import { type WebhookStatus, webhookStatus } from '#proto/status/webhooks.ts';
import { TIMES } from '../../../services/syncer/notify/delivery.ts';
import { receiverKey, WebhookTasks } from '../../../services/syncer/notify/webhooks.ts';
import { connectAll, Rig } from '../../storage/rig.ts';
import { quiet } from '../../support/bus.ts';
import { until } from '../../support/until.ts';

export const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const FAST = { ...TIMES, gatherMs: 10, pollMs: 1_000, soonMs: 50, parkedMs: 400, deliveryWait: () => 30 };

/** The webhooks of one layer, with a real bus, real storage for their places, and events without content. */
export async function notifyRig(...first: Webhook[]) {
  const stack = new AsyncDisposableStack();
  const buses = await connectAll();
  stack.use(buses.server);
  const storage = stack.use(await Rig.open(buses));
  const lines: string[] = [];
  const line = (fields: object, text: string) => void lines.push(`${JSON.stringify(fields)} ${text}`);
  const log: Log = { ...quiet, info: line, warn: line, error: line };
  let receivers = notificationsOf({ webhooks: first }).webhooks;
  // As storage does at its start.
  buses.storage.publish(storageStarted, {});
  let published = 1;
  let running: { webhooks: WebhookTasks; end: AbortController } | undefined;
  const { syncer } = buses;
  const rig = {
    buses,
    storage,
    /** Of level info and above. */
    lines,
    start(more: { times?: typeof TIMES; answerMs?: number } = {}) {
      const end = new AbortController();
      const fencedBus = { call: syncer.call.bind(syncer) };
      const deps = { bus: syncer, fencedBus, receivers: () => receivers, layer: 'test', log, times: FAST };
      running = { webhooks: new WebhookTasks({ ...deps, ...more }, end.signal), end };
    },
    async stop() {
      running?.end.abort(new Error('the test is over'));
      await running?.webhooks.ended();
      running = undefined;
    },
    configure(...webhooks: Webhook[]) {
      receivers = notificationsOf({ webhooks }).webhooks;
      running?.webhooks.reconfigured();
    },
    async push(...tags: string[]) {
      for (const tag of tags) {
        published += 1;
        buses.storage.publish(tagMoved, { repository: 'app', tag, digest: digestOf(tag) });
      }
      await this.stored();
    },
    async deleteManifests(...tags: string[]) {
      for (const tag of tags) {
        published += 1;
        buses.storage.publish(manifestDeleted, { repository: 'app', digest: digestOf(tag) });
      }
      await this.stored();
    },
    /** Resolves when the stream has all published events. */
    stored: () => until(() => buses.storage.stored()?.id === `storage-test-${published}`),
    status: async (index = 0): Promise<WebhookStatus | undefined> =>
      (await syncer.get(webhookStatus, receiverKey(receivers[index]!)))?.value,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
  stack.defer(() => rig.stop());
  await rig.stored();
  return rig;
}
