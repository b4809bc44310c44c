import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import { releaseClaim } from '#proto/content/ingests.ts';
import { getManifest, setBase } from '#proto/content/manifests.ts';
import { takeTerm } from '#proto/content/terms.ts';
import { Fault } from '#proto/contract/fault.ts';
import { CoordinatorTerm, newTerm } from '../../../services/syncer/leadership/coordinator-term.ts';
import { ParentLink } from '../../../services/syncer/link/http/parent-link.ts';
import { sent } from '../../../services/syncer/link/http/sending.ts';
import { PushClient } from '../../../services/syncer/link/parent/push-client.ts';
import { quiet } from '../../support/bus.ts';
import { startProxy } from '../../support/proxy/fault-proxy.ts';
import { startCloud } from '../../support/registry/cloud.ts';
import { pushImage } from '../../support/registry/image.ts';

const { signal } = new AbortController();
const repository = 'app';
const digest = `sha256:${'a'.repeat(64)}`;
const isLost = (error: unknown) => Fault.is(error, 'claim-lost');

/** A bus that answers by a function, and what it was asked. */
function busOf(answer: (subject: string) => unknown) {
  const asked: [subject: string, term: unknown][] = [];
  const call = async ({ subject }: { subject: string }, query: { term?: number }) => {
    asked.push([subject, query.term]);
    return answer(subject);
  };
  return { asked, bus: { call } as unknown as Bus };
}

test('what changes storage carries the term, and what only asks has none', async () => {
  const { bus, asked } = busOf(() => ({}));
  const lead = new CoordinatorTerm(bus, 7, { holds: true }, () => {});
  await lead.bus.call(setBase, { repository, tag: 'v', digest });
  await lead.bus.call(getManifest, { repository, reference: 'v' });
  assert.deepEqual(asked, [
    [setBase.subject, 7],
    [getManifest.subject, undefined],
  ]);
});

test('a term that has ended ends the lead, once; a claim on an ingest that is lost does not', async () => {
  const lost: string[] = [];
  const { bus } = busOf((subject) => {
    const detail = subject === releaseClaim.subject ? {} : { term: 8 };
    throw new Fault('claim-lost', 'lost', { detail });
  });
  const lead = new CoordinatorTerm(bus, 7, { holds: true }, ({ code }) => lost.push(code));
  await assert.rejects(lead.bus.call(releaseClaim, { id: 'a', claim: 'b' }), isLost);
  assert.ok(!lead.signal.aborted);
  for (let i = 0; i < 2; i += 1) {
    await assert.rejects(lead.bus.call(setBase, { repository, tag: 'v', digest }), isLost);
    assert.ok(isLost(lead.signal.reason));
  }
  assert.deepEqual(lost, ['claim-lost']);
});

test('nothing is changed at the parent while the lease may have ended, not even by another attempt', async () => {
  await using cloud = await startCloud();
  await using proxy = await startProxy(cloud.url);
  const image = await pushImage(cloud.url, repository, 'v1');
  const lease = { holds: true };
  const { bus } = busOf(() => ({}));
  await using link = new ParentLink({ url: proxy.url });
  const begin = () => new CoordinatorTerm(bus, 7, lease, () => {});
  const upward = begin().fenced(new PushClient(link));
  await upward.putManifest(repository, 'v2', image, signal);

  proxy.fault(({ method }) => {
    if (method !== 'PUT') return undefined;
    lease.holds = false;
    return { answer: { status: 503 } };
  });
  await assert.rejects(upward.putManifest(repository, 'v3', image, signal), isLost);
  const changes = () => proxy.requests.filter(({ method }) => method !== 'GET' && method !== 'HEAD').length;
  assert.equal(changes(), 2);
  const session = { location: `${proxy.url}/v2/${repository}/blobs/uploads/1`, offset: 0 };
  for (const change of [
    () => upward.putManifest(repository, 'v4', image, signal),
    () => upward.deleteManifest(repository, image.digest, signal),
    () => upward.deleteTag(repository, 'v1', { expect: image.digest }, signal),
    () => upward.begin(repository, digest, signal),
    () => upward.finish(repository, digest, session, sent(Buffer.from('{}')), signal),
  ]) {
    await assert.rejects(change(), isLost, String(change));
  }
  assert.equal(changes(), 2);
  assert.ok(await upward.hasManifest(repository, image.digest, signal));
});

test('a term is asked for while the lease is held, until storage gives one', async () => {
  let attempts = 0;
  const lease = { holds: false };
  const { bus, asked } = busOf(() => {
    attempts += 1;
    if (attempts === 1) throw new Fault('unavailable', 'storage is away');
    return { term: 9 };
  });
  const taking = newTerm({ bus, instance: 'one', log: quiet } as never, lease, signal);
  await new Promise(setImmediate);
  assert.equal(asked.length, 0);
  lease.holds = true;
  assert.equal(await taking, 9);
  assert.deepEqual(
    asked.map(([subject]) => subject),
    [takeTerm.subject, takeTerm.subject],
  );
});
