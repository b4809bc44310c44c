import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { type WebhookStatus, webhookStatus } from '#proto/status/webhooks.ts';
import { until } from '../gateway/layer.ts';
import { testLayer } from '../support/layer.ts';
import { TestReceiver } from '../support/receiver.ts';
import { pushImage, pushManifest } from '../support/registry/image.ts';
import { patience } from '../support/until.ts';

const full = process.env.TERRACE_FULL === '1';
const EVENTS = full ? 300 : 80;

test('kill -9 of each process in the middle of many events: each is told, in order, and at most one twice for each kill', async (t) => {
  await using receiver = await TestReceiver.start();
  await using layer = await testLayer({
    notifications: { webhooks: [{ url: receiver.url, match: ['app:*:push'] }] },
  });
  const { bytes } = await pushImage(layer.url, 'app', undefined, { layers: [100] });
  const manifest = JSON.parse(String(bytes));
  const push = async (tag: string) => {
    for (const deadline = Date.now() + patience(); ; ) {
      const failed = await pushManifest(layer.url, 'app', tag, mediaTypes.ociManifest, manifest).then(
        () => undefined,
        (error: Error) => error,
      );
      if (!failed) return;
      // As clients do when a part of the layer is away.
      if (!/: 503 |fetch failed/.test(failed.message) || Date.now() > deadline) throw failed;
    }
  };
  const kills = new Map(
    full
      ? [
          [50, ['storage']],
          [100, ['syncer-1']],
          [150, ['nats-server']],
          [200, ['storage', 'nats-server']],
          [250, ['storage']],
        ]
      : [[45, ['syncer-1', 'storage']]],
  ) as Map<number, string[]>;
  const wanted: string[] = [];
  for (let at = 0; at < EVENTS; at += 1) {
    const victims = kills.get(at);
    if (victims) {
      await receiver.takes(at - 40);
      for (const victim of victims) layer.killNow(victim);
      t.diagnostic(`${victims.join(' and ')} killed when ${receiver.taken.length} of ${at} were told`);
    }
    await push(`t${at}`);
    wanted.push(`app:t${at}`);
  }
  await receiver.until(() => new Set(receiver.subjects).size === EVENTS, 'each of them told');
  const once = receiver.taken.filter(
    ({ event: { id } }, index, all) => all.findIndex(({ event }) => event.id === id) === index,
  );
  assert.deepEqual(
    once.map(({ event }) => event.subject ?? event.type),
    wanted,
  );
  t.diagnostic(`${receiver.taken.length - EVENTS} told twice`);
  assert.ok(receiver.taken.length - EVENTS <= kills.size);

  await layer.restart();
  await push('last');
  await receiver.until(() => receiver.subjects.at(-1) === 'app:last', 'what happens after a restart told');
  assert.equal(receiver.taken.filter(({ event }) => event.subject === 'app:last').length, 1);
  await until(async () => {
    const [status] = (
      await layer
        .bus()
        .list(webhookStatus)
        .catch(() => new Map<string, WebhookStatus>())
    ).values();
    return status?.state === 'Online' && status.behind === 0 && status.acceptedAt !== undefined;
  });
});
