import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { sha256 } from '../../gateway/gateway-rig.ts';
import { pushImage } from '../../support/registry/image.ts';
import { until } from '../../support/until.ts';
import {
  applied,
  blob,
  deltaOf,
  follow,
  holderOf,
  isHere,
  layer,
  parent,
  requestsFor,
  targets,
} from './prefetcher-rig.ts';

/** Prefetches of deltas, and of what may come as a delta instead. */

test('a delta whose bases are here is pulled while the parent receives it, and makes its target', async () => {
  const base = blob('app/a');
  await using _following = follow();
  parent.report(base.entry);
  await until(() => isHere(base.digest));
  const [usable, other] = [deltaOf('app/a', [base.digest]), deltaOf('app/a', [sha256('not here')])];
  parent.reportDeltas([other.entry, usable.entry]);
  await until(() => isHere(usable.digest));
  assert.ok(await isHere(usable.own));
  assert.equal(requestsFor(usable.digest), 0);
  assert.equal(requestsFor(other.own), 0);
});

test('a delta that can not be applied is not tried again, and its target comes if it arrives itself', async () => {
  const base = blob('app/a');
  await using _following = follow();
  parent.report(base.entry);
  await until(() => isHere(base.digest));
  const before = applied;
  const wrong = deltaOf('app/a', [base.digest], false);
  parent.reportDeltas([wrong.entry]);
  await until(() => applied === before + 1);
  await until(async () => (await holderOf(wrong.digest)) === undefined);
  const next = blob('app/a');
  parent.reportDeltas([{ ...wrong.entry, attempt: 'b2' }], [next.entry]);
  await until(() => isHere(next.digest));
  assert.equal(applied, before + 1);
  assert.ok(!(await isHere(wrong.digest)));
});

test('a blob that the parent makes of a delta is pulled as that delta where its bases are, and itself elsewhere', async () => {
  const base = blob('app/a');
  await using _following = follow();
  parent.report(base.entry);
  await until(() => isHere(base.digest));
  const here = deltaOf('app/a', [base.digest]);
  const elsewhere = deltaOf('app/a', [sha256('not here')]);
  parent.content.set(elsewhere.digest, targets.get(elsewhere.digest) as Buffer);
  parent.reportDeltas([here.entry, elsewhere.entry], [here.target, elsewhere.target]);
  await until(async () => (await isHere(here.digest)) && (await isHere(elsewhere.digest)));
  assert.deepEqual(
    [here, elsewhere].map(({ digest }) => requestsFor(digest) > 0),
    [false, true],
  );
  assert.deepEqual(
    [here, elsewhere].map(({ own }) => requestsFor(own) > 0),
    [true, false],
  );
});

test('with delta.mode always, a blob that the parent gets in full is left to the pass where an image is here', async () => {
  await pushImage(`127.0.0.1:${layer.port}`, 'app/held', '1');
  await using _following = follow(undefined, 'always');
  const [awaited, first] = [blob('app/held'), blob('app/first')];
  parent.report(awaited.entry, first.entry);
  await until(() => isHere(first.digest));
  assert.deepEqual([requestsFor(awaited.digest), await isHere(awaited.digest)], [0, false]);
  const base = blob('app/first');
  parent.report(base.entry);
  await until(() => isHere(base.digest));
  const delta = deltaOf('app/held', [base.digest]);
  parent.reportDeltas([delta.entry], [delta.target]);
  await until(() => isHere(delta.digest));
});

test('in auto, on a slow link, a blob that the parent gets in full is held back, and left to the pass once the parent has it', async () => {
  await pushImage(`127.0.0.1:${layer.port}`, 'app/held', '1');
  await using _following = follow(undefined, 'auto', 400);
  const [held, first, other] = [blob('app/held'), blob('app/first'), blob('app/other')];
  parent.report(held.entry, first.entry);
  await until(() => isHere(first.digest));
  parent.report(other.entry);
  await until(() => isHere(other.digest));
  assert.deepEqual([requestsFor(held.digest), await isHere(held.digest)], [0, false]);
});

test('in auto, a blob is not held back for longer than may be lost', async () => {
  await pushImage(`127.0.0.1:${layer.port}`, 'app/held', '1');
  await using _following = follow(undefined, 'auto', 20_000);
  const [held, first] = [blob('app/held'), blob('app/first')];
  parent.report(held.entry, first.entry);
  await until(() => isHere(first.digest));
  await until(() => isHere(held.digest));
});

test('a blob that is held back, or pulled in full, continues as a delta by which the parent gets it after all', async () => {
  await pushImage(`127.0.0.1:${layer.port}`, 'app/held', '1');
  const base = blob('app/base');
  await using _following = follow(undefined, 'auto', 400);
  parent.report(base.entry);
  await until(() => isHere(base.digest));
  const [held, pulled] = [deltaOf('app/held', [base.digest]), deltaOf('app/new', [base.digest])];
  // Nothing of it arrives at the parent.
  parent.content.set(pulled.digest, Buffer.alloc(0));
  parent.report(held.target, pulled.target);
  await until(() => requestsFor(pulled.digest) > 0);
  parent.reportDeltas([held.entry, pulled.entry], [held.target, pulled.target]);
  await until(async () => (await isHere(held.digest)) && (await isHere(pulled.digest)));
  assert.deepEqual(
    [held.own, pulled.own].map((digest) => requestsFor(digest) > 0),
    [true, true],
  );
  assert.equal(requestsFor(held.digest), 0);
});

test('also on a link of which the rate is not known', async () => {
  const base = blob('app/base');
  await using _following = follow(undefined, 'auto');
  parent.report(base.entry);
  await until(() => isHere(base.digest));
  const pulled = deltaOf('app/new', [base.digest]);
  parent.content.set(pulled.digest, Buffer.alloc(0));
  parent.report(pulled.target);
  await until(() => requestsFor(pulled.digest) > 0);
  parent.reportDeltas([pulled.entry], [pulled.target]);
  await until(() => isHere(pulled.digest));
  assert.ok(requestsFor(pulled.own) > 0);
});

test('a delta whose pull was ended is pulled when it is reported again, and its target is left to the pass', async () => {
  const base = blob('app/a');
  await using following = follow();
  parent.report(base.entry);
  await until(() => isHere(base.digest));
  const delta = deltaOf('app/a', [base.digest]);
  const bytes = parent.content.get(delta.own) as Buffer;
  parent.content.set(delta.own, Buffer.alloc(0));
  const pause = new AbortController();
  parent.linkUse = { ...parent.linkUse, interrupted: pause.signal };
  parent.reportDeltas([delta.entry]);
  await until(async () => (await holderOf(delta.own)) === 'prefetch');
  parent.linkUse = { usable: true, live: true };
  pause.abort(new Fault('paused', 'the link is paused'));
  following.endPass();
  await until(async () => (await holderOf(delta.own)) === undefined);
  // The parent has all of the delta, and makes its target.
  const other = blob('app/b');
  parent.content.set(delta.digest, targets.get(delta.digest) as Buffer);
  parent.report(delta.target, other.entry);
  await until(() => isHere(other.digest));
  assert.equal(requestsFor(delta.digest), 0);
  parent.content.set(delta.own, bytes);
  parent.reportDeltas([delta.entry], [delta.target]);
  await until(() => isHere(delta.digest));
  assert.equal(requestsFor(delta.digest), 0);
});
