import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { Accounts } from '#proto/api/accounts.ts';
import { ConfigurationAnswer } from '#proto/api/configuration.ts';
import { EventItem } from '#proto/api/events.ts';
import { Layer } from '#proto/api/layer.ts';
import { Link, Passes, Throughput } from '#proto/api/link.ts';
import { Manifest, ManifestHistory } from '#proto/api/manifests.ts';
import { ParkedList } from '#proto/api/pending.ts';
import { Repositories, Tags } from '#proto/api/repositories.ts';
import { Transfers } from '#proto/api/transfers.ts';
import { event, manifest, manifestHistory, repositories, tagsPage } from './content.ts';
import { day } from './days.ts';

const conforms = (schema: TSchema, value: unknown) => {
  const [first] = [...Value.Errors(schema, value)];
  assert.equal(first && `${first.path}: ${first.message}`, undefined);
};

for (const kind of ['good', 'bad'] as const) {
  test(`the answers of a ${kind} day that the page is tested with conform to the schemas of the API`, () => {
    const { layer, link, transfers, throughput, parked, passes, accounts, configuration } = day(kind);
    conforms(Layer, layer);
    conforms(Link, link);
    conforms(Transfers, transfers);
    conforms(Throughput, throughput);
    conforms(ParkedList, parked);
    conforms(Passes, passes);
    conforms(Accounts, accounts);
    conforms(ConfigurationAnswer, configuration);
    conforms(Repositories, repositories(kind === 'bad'));
    conforms(Tags, tagsPage(10_000, 0, 200));
    conforms(Manifest, manifest('line/web'));
    conforms(ManifestHistory, manifestHistory());
    conforms(EventItem, event(7));
  });
}
