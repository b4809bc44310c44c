import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LayerStatus } from '#proto/overview/layer-status.ts';
import { exposition } from '../../../services/gateway/metrics/exposition.ts';
import { families } from '../../../services/gateway/metrics/families.ts';
import { gauge, histogram } from '../../../services/gateway/metrics/family.ts';
import type { Figures } from '../../../services/gateway/metrics/figures.ts';
import { Scraped } from '../../support/metrics.ts';

/** The declarations of all metrics, and what they read of the figures of a layer. */

const figuresOf = (status: Partial<LayerStatus>): Figures => ({
  now: 1_000_000,
  tookS: 0.1,
  version: '1',
  status: { services: [], syncers: [], silent: [], ...status },
  processes: [],
});
const scraped = (status: Partial<LayerStatus>) =>
  new Scraped(exposition(families, figuresOf(status), 'prometheus', { layer: 'plant' }));

test('names are unique, have their units, and no label names content or an account', () => {
  const names = families.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  for (const { name, type, help, labels } of families) {
    assert.match(name, /^[a-z]+(_[a-z]+)*$/, name);
    assert.ok(!/_(total|count|sum|bucket)$/.test(name), name);
    if (type === 'histogram') assert.match(name, /_seconds$/, name);
    assert.match(help, /\.$/, name);
    const allowed =
      /^(process|service|mode|version|node|route|method|code|state|kind|direction|outcome|action|purpose|certificate|child|peer|webhook)$/;
    assert.deepEqual(
      labels.filter((label) => !allowed.test(label)),
      [],
      name,
    );
  }
});

const text = (format: 'openmetrics' | 'prometheus', ...some: Parameters<typeof exposition>[0][number][]) =>
  exposition(some, figuresOf({}), format, { layer: 'a "b"\\' });

test('labels are escaped, samples with the same labels appear once, and OpenMetrics has an end', () => {
  const family = gauge('x', 'Help.', () => [{ value: 1 }, { value: 2 }]);
  assert.equal(
    text('openmetrics', family),
    '# HELP terrace_x Help.\n# TYPE terrace_x gauge\nterrace_x{layer="a \\"b\\"\\\\"} 1\n# EOF\n',
  );
  assert.equal(
    text(
      'prometheus',
      gauge('x', 'Help.', () => undefined),
    ),
    '\n',
  );
});

test('buckets are cumulative, with bounds as each format has them', () => {
  const family = histogram('t_seconds', 'Help.', [0.5, 1], () => [{ buckets: [2, 0, 3], seconds: 9 }]);
  const lines = (format: 'openmetrics' | 'prometheus') =>
    [...text(format, family).matchAll(/(?:le="([^"]+)"|_(count|sum)\{.*?)\} (\S+)/g)].map(
      ([, bound, part, value]) => `${bound ?? part} ${value}`,
    );
  assert.deepEqual(lines('prometheus'), ['0.5 2', '1 2', '+Inf 5', 'count 5', 'sum 9']);
  assert.deepEqual(lines('openmetrics'), ['0.5 2', '1.0 2', '+Inf 5', 'count 5', 'sum 9']);
});

test('only the first 256 children have metrics of their own, and all are counted', () => {
  const below = Array.from({ length: 300 }, (_, n) => ({
    child: `child-${String(n).padStart(3, '0')}`,
    seen: 1_000,
    path: [],
    name: 'x',
    mode: 'ReadOnly' as const,
    at: 1_000,
  }));
  const { samples, sum } = scraped({ below });
  const last = samples.filter(({ name }) => name === 'terrace_child_last_seen_timestamp_seconds');
  assert.equal(last.length, 256);
  assert.equal(sum.call(scraped({ below }), 'children'), 300);
});

test('webhooks of one name are distinguished', () => {
  const webhook = { name: 'hooks', state: 'Failing' as const, since: 1, behind: 3, more: false };
  const some = scraped({ webhooks: [webhook, { ...webhook, state: 'Online', behind: 0 }] });
  assert.equal(some.sum('webhook_up', { webhook: 'hooks' }), 0);
  assert.equal(some.sum('webhook_up', { webhook: 'hooks (2)' }), 1);
  assert.equal(some.sum('webhook_backlog_events'), 3);
});

test('without an answer of any service, each is down, and what they know is absent', () => {
  const none = scraped({});
  assert.equal(none.sum('service_up'), 0);
  for (const name of ['link_up', 'storage_tags', 'sync_behind_tags', 'audit_lost_total']) {
    assert.equal(none.sum(name), undefined, name);
  }
});
