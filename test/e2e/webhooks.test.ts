import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { type WebhookStatus, webhookStatus } from '#proto/status/webhooks.ts';
import { testLayer } from '../support/layer.ts';
import { TestReceiver } from '../support/receiver.ts';
import { pushImage, pushManifest } from '../support/registry/image.ts';
import { patience, until } from '../support/until.ts';

const full = process.env.TERRACE_FULL === '1';
const EVENTS = full ? 300 : 80;

test('after kill -9 of any process, all events are delivered in order, and at most one twice for each kill', async (t) => {
  await using receiver = await TestReceiver.start();
  await using layer = await testLayer({
    notifications: { webhooks: [{ url: receiver.url, match: ['app:*:push'] }] },
  });
  const { bytes } = await pushImage(layer.url, 'app', undefined, { layers: [100] });
  const manifest = JSON.parse(String(bytes));
  const push = async (tag: string) => {
    for (const deadline = Date.now() + patience(); ; ) {
      const error = await pushManifest(layer.url, 'app', tag, mediaTypes.ociManifest, manifest).then(
        () => undefined,
        (cause: Error) => cause,
      );
      if (!error) return;
      // Clients retry while a part of the layer is unavailable.
      if (!/: 503 |fetch failed/.test(error.message) || Date.now() > deadline) throw error;
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
  const expected: string[] = [];
  for (let at = 0; at < EVENTS; at += 1) {
    const victims = kills.get(at);
    if (victims) {
      await receiver.untilAccepted(at - 40);
      for (const victim of victims) layer.killWithoutWaiting(victim);
      t.diagnostic(
        `${victims.join(' and ')} killed when ${receiver.accepted.length} of ${at} were delivered`,
      );
    }
    await push(`t${at}`);
    expected.push(`app:t${at}`);
  }
  await receiver.until(() => new Set(receiver.subjects).size === EVENTS, 'each event is delivered');
  const once = receiver.accepted.filter(
    ({ event: { id } }, index, all) => all.findIndex(({ event }) => event.id === id) === index,
  );
  assert.deepEqual(
    once.map(({ event }) => event.subject ?? event.type),
    expected,
  );
  t.diagnostic(`${receiver.accepted.length - EVENTS} delivered twice`);
  assert.ok(receiver.accepted.length - EVENTS <= kills.size);

  await layer.restart();
  await push('last');
  await receiver.until(
    () => receiver.subjects.at(-1) === 'app:last',
    'an event after the restart is delivered',
  );
  assert.equal(receiver.accepted.filter(({ event }) => event.subject === 'app:last').length, 1);
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
