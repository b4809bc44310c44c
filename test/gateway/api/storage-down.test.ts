import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { Layer } from '#proto/api/layer.ts';
import type { Link } from '#proto/api/link.ts';
import { configurationWith } from '../../support/configuration.ts';
import { GatewayRig } from '../gateway-rig.ts';
import { ApiClient } from './api-client.ts';

test('a layer whose storage is down keeps its name, its mode and its parent', async () => {
  await using layer = await GatewayRig.start({}, { apart: true });
  layer.configuration = configurationWith({ name: 'plant', parent: { url: 'https://cloud.example' } });
  const api = await ApiClient.of(layer);
  await layer.storageDown();
  const shown: Layer = (await api.get('/layer')).body;
  equal(shown.name, 'plant');
  equal(shown.mode, layer.configuration.mode);
  deepEqual(shown.parent, { url: 'https://cloud.example' });
  equal(shown.sync, undefined);
  ok(shown.silent.includes('storage'));
  const link: Link = (await api.get('/link')).body;
  deepEqual(link.parent, shown.parent);
  equal(link.schedule, layer.configuration.schedule);
});
