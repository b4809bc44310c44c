import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Overrides } from '#proto/document/resolve/resolve.ts';
import type { Descriptor } from '#proto/oci/manifest.ts';
import { CONTENT_LEFT_OUT, type LinkStatus } from '#proto/status/status.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import {
  type Answered,
  type Reply,
  type ScriptedRegistry,
  type ScriptedRequest,
  scriptedRegistry,
} from '../../support/registry/scripted/scripted-registry.ts';
import { until } from '../../support/until.ts';
import { SyncerRig } from '../syncer-rig.ts';

/**
 * Real registries as parents, as tables of quirks: each row names what a parent does, and states what has to be here
 * after a pass, and what has to be reported. The rows of a table share one layer; each has a scripted registry of its
 * own.
 */

/** Content of a row, by the names that its quirk and its checks use. */
export type Named = Record<string, Descriptor>;

export type Row = {
  name: string;
  /** Content of the parent. The repository `app` is selected. */
  content: (registry: ScriptedRegistry) => Named;
  quirk?: (request: ScriptedRequest, about: About) => Answered | Promise<Answered>;
  /** Fields of the parent, in addition to its address. */
  parent?: Overrides['parent'];
  /** Fields of the configuration, in addition to the parent and its repository `app`. */
  fields?: Overrides;
  /** Number of passes after the one that the configuration causes; default 1. */
  passes?: number;
  /** Names of content that the layer has to serve after the passes, and that it must not have. */
  has?: string[];
  lacks?: string[];
  /** What the status has to say is left out; nothing may be, and the last pass is good, if it is absent. */
  reported?: RegExp;
  /** Checked after, or with `has` absent in place of, these. */
  check?: (result: Checked) => Promise<void> | void;
};

/** `regular` computes the answer of a correct registry. */
export type About = { regular: () => Reply; named: Named; registry: ScriptedRegistry };

export type Checked = {
  registry: ScriptedRegistry;
  named: Named;
  layer: SyncerRig;
  /** The last pass, and the state of the link after it. */
  pass: PassResult;
  link: LinkStatus;
};

/** No pass begins by schedule. */
const YEARLY = '0 0 1 1 *';

/** Declares a test for each row. */
export function testRows(rows: Row[]): void {
  let layer: SyncerRig;
  before(async () => {
    layer = await SyncerRig.start('http://127.0.0.1:1', {});
  });
  after(() => layer[Symbol.asyncDispose]());
  for (const row of rows) test(row.name, () => runRow(layer, row));
}

/** Configures the layer for the row's parent, makes its passes, and checks. */
async function runRow(layer: SyncerRig, row: Row): Promise<void> {
  await using registry = await scriptedRegistry();
  const named = row.content(registry);
  registry.quirk = (request, regular) => row.quirk?.(request, { regular, named, registry });
  const repositories = ['app'];
  const parent = { ...row.parent, url: registry.url };
  await layer.configureWith({ parent, repositories, mode: 'ReadOnly', schedule: YEARLY, ...row.fields });
  // The first request shows that the configuration is in force.
  await until(() => registry.requests.length > 0, 'the parent is asked');
  let pass: PassResult | undefined;
  for (let made = 0; made < (row.passes ?? 1); made += 1) pass = await layer.pass();
  const link = await layer.link();
  assert.ok(pass && link);
  const checked = { registry, named, layer, pass, link };
  for (const name of row.has ?? []) {
    assert.ok(await serves(layer, named[name]), `the layer lacks ${name}: ${JSON.stringify(pass)}`);
  }
  for (const name of row.lacks ?? []) assert.ok(!(await serves(layer, named[name])), `the layer has ${name}`);
  if (row.reported) assertLeftOut(checked, row.reported);
  else if (row.has) assert.equal(pass.ok, true, JSON.stringify(pass));
  await row.check?.(checked);
}

/** Whether the layer serves this content of `app`, as a manifest or as a blob. */
export async function serves(layer: SyncerRig, content: Descriptor | undefined): Promise<boolean> {
  assert.ok(content, 'the row has no content of this name');
  const paths = [`manifests/${content.digest}`, `blobs/${content.digest}`];
  const answers = await Promise.all(
    paths.map((path) => fetch(`${layer.layer.url}/v2/app/${path}`, { method: 'HEAD' })),
  );
  return answers.some(({ ok }) => ok);
}

/** Asserts that the layer is online, and that pass and status say what is left out. */
function assertLeftOut({ pass, link }: Checked, reported: RegExp): void {
  assert.equal(link.state, 'Online', JSON.stringify([link, pass]));
  assert.equal(link.code, CONTENT_LEFT_OUT, JSON.stringify(link));
  assert.match(link.detail ?? '', reported);
  assert.deepEqual([pass.ok, pass.failed], [false, 0]);
  assert.ok((pass.leftOut?.images ?? 0) + (pass.leftOut?.repositories?.count ?? 0) > 0);
}
