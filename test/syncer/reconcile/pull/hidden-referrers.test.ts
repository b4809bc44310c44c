import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LeftOutRecord, recordLeftOut } from '#proto/content/left-out-referrers.ts';
import { putTag } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { FencedBus } from '../../../../services/syncer/leadership/fenced-bus.ts';
import { leftOutItem } from '../../../../services/syncer/reconcile/context/leave-out.ts';
import { LeftOutContent } from '../../../../services/syncer/reconcile/context/left-out.ts';
import { LeftOutRecords } from '../../../../services/syncer/reconcile/context/left-out-records.ts';
import type { PassContext } from '../../../../services/syncer/reconcile/context/pass-context.ts';
import { Sends } from '../../../../services/syncer/reconcile/context/sends.ts';
import type { Survey } from '../../../../services/syncer/reconcile/observe/survey.ts';
import {
  noteHiddenReferrers,
  rememberIfHidden,
} from '../../../../services/syncer/reconcile/pull/hidden-referrers.ts';
import { pullImage } from '../../../../services/syncer/reconcile/pull/pull-load.ts';
import { buildPullQueue } from '../../../../services/syncer/reconcile/pull/pull-queue.ts';
import { configurationWith } from '../../../support/configuration.ts';

test('lists of referrers that could not be read stay reported until everything is compared without that', async () => {
  const leftOut = new LeftOutContent();
  const [selected] = configurationWith({ repositories: ['app'] }).repositories;
  assert.ok(selected);
  let hidden: Fault | undefined = new Fault('parent-refused', 'GET /v2/app/referrers: 403');
  const parent = {
    hiddenReferrers: () => hidden,
    hiddenReferrersAbove: () => undefined,
  } as unknown as PassContext['parent'];
  const recorded: string[] = [];
  const leftOutRecords = {
    replace: async (repository: string) => void recorded.push(repository),
  } as unknown as PassContext['leftOutRecords'];
  let during: (context: Parameters<typeof rememberIfHidden>[0]) => Promise<void> = async () => {};
  const pass = async (everything: boolean, referrers = selected.referrers, isComplete = everything) => {
    leftOut.begin(everything);
    const hiddenReferrers = new Map();
    await during({ parent, hiddenReferrers });
    await noteHiddenReferrers(
      { parent, hiddenReferrers, leftOut, leftOutRecords },
      { repository: 'app', selected: { ...selected, referrers }, parentTags: 3 },
      isComplete,
    );
    if (isComplete) leftOut.completed(3);
    return leftOut.summary()?.images;
  };
  assert.equal(await pass(true), 3);
  assert.deepEqual(recorded, ['app']);
  // They may be asked for again, and this pass had no reason to.
  hidden = undefined;
  assert.equal(await pass(false), 3);
  assert.equal(await pass(true, selected.referrers, false), 3, 'a pass that ended early has read no list');
  assert.equal(await pass(true), undefined);
  during = async (context) => {
    hidden = new Fault('busy', 'GET /v2/app/referrers: 429');
    rememberIfHidden(context, 'app');
    // Another list of the repository is read meanwhile, or the time for the next attempt has come.
    hidden = undefined;
  };
  assert.equal(await pass(true), 3, 'an image whose list was hidden for a part of the pass is forgotten');
  during = async () => {};
  assert.equal(await pass(true), undefined);
  hidden = new Fault('parent-refused', 'GET /v2/app/referrers: 403');
  assert.equal(await pass(true, false), undefined, 'referrers that are not selected are reported');
});

test('images that are not visited since lists of referrers are hidden stay known', async () => {
  let hidden: Fault | undefined = new Fault('busy', '429');
  const hiddenReferrers = new Map<string, unknown>();
  const context = {
    bus: { call: async () => ({ leftOut: [], more: false }) },
    parent: {
      hasReferrers: () => !hidden,
      hiddenReferrers: () => hidden,
      hiddenReferrersAbove: () => undefined,
    },
    hiddenReferrers,
    leftOut: new LeftOutContent(),
    leftOutByParent: new Map(),
    passRequest: {},
  } as unknown as PassContext;
  const [selected] = configurationWith({ repositories: ['app'] }).repositories;
  const survey = { repository: 'app', selected, actions: [], settled: [`sha256:${'a'.repeat(64)}`] };
  assert.deepEqual(await buildPullQueue(context, [survey as unknown as Survey]), []);
  assert.deepEqual([...hiddenReferrers.keys()], ['app']);
  hidden = undefined;
  assert.equal((await buildPullQueue(context, [survey as unknown as Survey])).length, 1);
});

test('what an image lacks is recorded before its tag moves', async () => {
  const [digest, note] = ['a', 'b'].map((letter) => `sha256:${letter.repeat(64)}`) as [string, string];
  const hidden = new Fault('parent-refused', '403');
  const calls: unknown[] = [];
  const call = async (
    contract: unknown,
    { subject, first }: { subject?: string } & Partial<LeftOutRecord>,
  ) => {
    if (contract === recordLeftOut) calls.push([subject, first?.[0]?.code]);
    if (contract === putTag) calls.push('tag');
    return { records: [], more: false };
  };
  const bus = { call, publish() {} } as unknown as FencedBus;
  const parent = { hiddenReferrers: () => hidden };
  const hiddenReferrers = new Map();
  const leftOutRecords = new LeftOutRecords(bus, new AbortController().signal);
  const sends = new Sends().observe();
  const context = {
    bus,
    parent,
    hiddenReferrers,
    pass: 'p',
    leftOutRecords,
    sends,
  } as unknown as PassContext;
  const why = new Fault('manifest-unknown', 'none');
  const problems = [leftOutItem('referrer', why, { digest: note, subject: digest })];
  const load = { root: digest, nodes: [], subjects: [digest], problems: [], blobs: [], missing: [] };
  const tag = { tag: 'v1', expect: undefined };
  await pullImage(context, 'app', digest, { ...load, isPartlyHere: false }, async () => problems, tag);
  assert.deepEqual(calls, [
    [digest, 'manifest-unknown'],
    [`sha256:${'0'.repeat(64)}`, 'parent-refused'],
    'tag',
  ]);
});
