import assert from 'node:assert/strict';
import type { Overrides } from '#proto/document/resolve/resolve.ts';
import type { Digest } from '#proto/oci/names.ts';
import type { LinkStatus } from '#proto/status/status.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import {
  type Quirk,
  type ScriptedRegistry,
  scriptedRegistry,
} from '../../support/registry/scripted/scripted-registry.ts';
import { until } from '../../support/until.ts';
import type { SyncerRig } from '../syncer-rig.ts';

/**
 * Real registries as parents, as a table of quirks: each row names what a parent does, and states what has to be here
 * after a pass, and what has to be reported. Rows share one layer; each has a scripted registry of its own.
 */

export type Row = {
  name: string;
  /** Content of the parent. The repository `app` is selected. */
  content: (registry: ScriptedRegistry) => void;
  quirk?: Quirk;
  /** Fields of the configuration, in addition to the parent and its repository `app`. */
  fields?: Overrides;
  /** What must hold after the passes. */
  check: (result: Checked) => Promise<void> | void;
  /** Number of passes after the one that the configuration causes; default 1. */
  passes?: number;
};

export type Checked = {
  registry: ScriptedRegistry;
  layer: SyncerRig;
  /** The last pass, and the state of the link after it. */
  pass: PassResult;
  link: LinkStatus;
  /** Tags of `app` in the layer, with their digests. */
  tags: Record<string, Digest>;
  /** Asserts that the layer serves this content of `app`. */
  has: (...digests: string[]) => Promise<void>;
  lacks: (...digests: string[]) => Promise<void>;
};

/** No pass begins by schedule. */
const YEARLY = '0 0 1 1 *';

/** Configures the layer for the row's parent, makes its passes, and checks. */
export async function runRow(layer: SyncerRig, row: Row): Promise<void> {
  await using registry = await scriptedRegistry({ ...(row.quirk && { quirk: row.quirk }) });
  row.content(registry);
  await layer.configureWith({
    parent: { url: registry.url },
    repositories: ['app'],
    mode: 'ReadOnly',
    schedule: YEARLY,
    ...row.fields,
  });
  // The first request shows that the configuration is in force.
  await until(() => registry.requests.length > 0, 'the parent is asked');
  let pass: PassResult | undefined;
  for (let made = 0; made < (row.passes ?? 1); made += 1) pass = await layer.pass();
  const link = await layer.link();
  assert.ok(pass && link);
  const { url } = layer.layer;
  const status = async (digest: string) => {
    const paths = [`manifests/${digest}`, `blobs/${digest}`];
    const answers = await Promise.all(
      paths.map((path) => fetch(`${url}/v2/app/${path}`, { method: 'HEAD', headers: { accept: '*/*' } })),
    );
    return answers.some(({ ok }) => ok);
  };
  const list = (await (await fetch(`${url}/v2/app/tags/list`)).json()) as { tags?: string[] };
  const tags: Record<string, Digest> = {};
  for (const tag of list.tags ?? []) {
    const answer = await fetch(`${url}/v2/app/manifests/${tag}`, {
      method: 'HEAD',
      headers: { accept: '*/*' },
    });
    tags[tag] = answer.headers.get('docker-content-digest') as Digest;
  }
  await row.check({
    registry,
    layer,
    pass,
    link,
    tags,
    has: async (...digests) => {
      for (const digest of digests)
        assert.ok(await status(digest), `the layer lacks ${digest}: ${JSON.stringify(pass)}`);
    },
    lacks: async (...digests) => {
      for (const digest of digests) assert.ok(!(await status(digest)), `the layer has ${digest}`);
    },
  });
}
