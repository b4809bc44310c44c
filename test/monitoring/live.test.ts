import assert from 'node:assert/strict';
import { test } from 'node:test';
import { families } from '../../services/gateway/metrics/families.ts';
import { testLayer } from '../support/layer.ts';
import { scrape } from '../support/metrics.ts';
import { startProxy } from '../support/proxy/fault-proxy.ts';
import { TestReceiver } from '../support/receiver.ts';
import { startCloud } from '../support/registry/cloud.ts';
import { pushImage } from '../support/registry/image.ts';
import { until } from '../support/until.ts';
import { missing, Prometheus, promtool } from './prometheus.ts';

/** A running layer, a running Prometheus, and the rules of deploy/monitoring, with which alerts fire at once. */

test('promtool accepts the metrics of a running layer, and Prometheus both formats', {
  skip: missing,
}, async () => {
  await using layer = await testLayer({ name: 'plant', compact: true });
  await pushImage(layer.host, 'app', '1');
  const { text, samples } = await scrape(layer.url);
  promtool(['check', 'metrics'], text);
  const open = await scrape(layer.url, { accept: 'application/openmetrics-text; version=1.0.0' });
  assert.ok(open.text.endsWith('\n# EOF\n'));
  assert.equal(open.sum('storage_tags'), 1);
  // Prometheus asks for OpenMetrics.
  await using prometheus = await Prometheus.start([layer.host]);
  await until(async () => (await prometheus.count('terrace_storage_tags')) === 1, 'the layer is scraped');
  assert.equal(await prometheus.scrapeError(), '');
  const names = new Set(samples.map(({ name }) => name));
  assert.ok(names.size > 0 && names.size <= families.length + 10);
});

test('alerts fire for a cut link, a refused change, a failing webhook, a stopped service and a stopped layer', {
  skip: missing,
}, async () => {
  await using cloud = await startCloud();
  await using link = await startProxy(cloud.url);
  await using receiver = await TestReceiver.start();
  receiver.answer = () => 503;
  await using layer = await testLayer({
    name: 'plant',
    parent: link.url,
    mode: 'ReadWrite',
    notifications: { webhooks: [{ name: 'hooks', url: receiver.url }] },
  });
  await layer.sync();
  await using prometheus = await Prometheus.start([layer.host]);

  link.fault(({ method, path }) =>
    method === 'PUT' && /\/app\/manifests\/1$/.test(path) ? { answer: { status: 403 } } : undefined,
  );
  await pushImage(layer.host, 'app', '1', { layers: [100] });
  const unsent = await prometheus.alert('TerraceChangesUnsent');
  assert.equal(unsent.labels.layer, 'plant');
  const webhook = await prometheus.alert('TerraceWebhookFails');
  assert.equal(webhook.annotations.summary, 'The webhook hooks of layer plant takes no events.');
  await layer.sync();
  const refused = await prometheus.alert('TerraceChangesRefused');
  assert.equal(refused.annotations.summary, 'The parent of layer plant refuses 1 changes.');
  receiver.answer = () => 204;
  link.fault();
  await layer.sync({ full: true });
  await prometheus.untilQuiet('TerraceChangesRefused');

  await link.down();
  await layer.sync();
  await prometheus.alert('TerraceLinkDown');
  await link.up();
  await layer.sync();
  await prometheus.untilQuiet('TerraceLinkDown');

  const pid = layer.pid('twin-bridge');
  process.kill(pid, 'SIGSTOP');
  try {
    // On a busy machine, another service may seem to be down for a moment, too.
    await prometheus.alert('TerraceServiceDown', { service: 'twin-bridge' });
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await prometheus.untilQuiet('TerraceServiceDown');
  await layer.stop();
  await prometheus.alert('TerraceDown');
});

test('content that clients push into a top layer is not pending, and fires no alert', {
  skip: missing,
}, async () => {
  await using layer = await testLayer({ name: 'top', compact: true });
  await pushImage(layer.host, 'app', '1', { layers: [100] });
  await using prometheus = await Prometheus.start([layer.host]);
  const scraped = async () => (await prometheus.count('terrace_outgoing_changes{state="unsent"} == 0')) === 1;
  await until(scraped, 'nothing is pending');
  // The disk and the version of nats-server are those of the machine.
  const ofLink = /Link|Pass|Behind|Tags|Changes|LeftOut|Selection|Events/;
  const firing = (await prometheus.firing()).map(({ labels }) => String(labels.alertname));
  assert.deepEqual(
    firing.filter((name) => ofLink.test(name)),
    [],
  );
});
