import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import { releaseClaim } from '#proto/content/ingests.ts';
import { getManifest, setBases } from '#proto/content/manifests.ts';
import { takeTerm } from '#proto/content/terms.ts';
import { Fault } from '#proto/contract/fault.ts';
import { CoordinatorTerm, newTerm } from '../../../services/syncer/leadership/coordinator-term.ts';
import { ParentLink } from '../../../services/syncer/link/http/parent-link.ts';
import { bodyOf } from '../../../services/syncer/link/http/sending.ts';
import { PushClient } from '../../../services/syncer/link/parent/push-client.ts';
import { quiet } from '../../support/bus.ts';
import { startProxy } from '../../support/proxy/fault-proxy.ts';
import { startCloud } from '../../support/registry/cloud.ts';
import { pushImage } from '../../support/registry/image.ts';

const { signal } = new AbortController();
const repository = 'app';
const digest = `sha256:${'a'.repeat(64)}`;
const isLost = (error: unknown) => Fault.is(error, 'claim-lost');

/** A bus that answers by a function, and the calls that it received. */
function busOf(answer: (subject: string) => unknown) {
  const calls: [subject: string, term: unknown][] = [];
  const call = async ({ subject }: { subject: string }, query: { term?: number }) => {
    calls.push([subject, query.term]);
    return answer(subject);
  };
  return { calls, bus: { call } as unknown as Bus };
}

test('calls that change storage carry the term, and calls that only read do not', async () => {
  const { bus, calls } = busOf(() => ({}));
  const term = new CoordinatorTerm(bus, 7, { holds: true }, () => {});
  await term.bus.call(setBases, { repository, bases: [{ tag: 'v', digest }] });
  await term.bus.call(getManifest, { repository, reference: 'v' });
  assert.deepEqual(calls, [
    [setBases.subject, 7],
    [getManifest.subject, undefined],
  ]);
});

test("the coordinator's term ends once when storage refuses it, and not when a claim on an ingest is lost", async () => {
  const lost: string[] = [];
  const { bus } = busOf((subject) => {
    const detail = subject === releaseClaim.subject ? {} : { term: 8 };
    throw new Fault('claim-lost', 'lost', { detail });
  });
  const term = new CoordinatorTerm(bus, 7, { holds: true }, ({ code }) => lost.push(code));
  await assert.rejects(term.bus.call(releaseClaim, { id: 'a', claim: 'b' }), isLost);
  assert.ok(!term.signal.aborted);
  for (let i = 0; i < 2; i += 1) {
    await assert.rejects(term.bus.call(setBases, { repository, bases: [{ tag: 'v', digest }] }), isLost);
    assert.ok(isLost(term.signal.reason));
  }
  assert.deepEqual(lost, ['claim-lost']);
});

test('nothing is changed at the parent while the lease may have expired, not even by a retry', async () => {
  await using cloud = await startCloud();
  await using proxy = await startProxy(cloud.url);
  const image = await pushImage(cloud.url, repository, 'v1');
  const lease = { holds: true };
  const { bus } = busOf(() => ({}));
  await using link = new ParentLink({ url: proxy.url });
  const begin = () => new CoordinatorTerm(bus, 7, lease, () => {});
  const pushClient = begin().fenced(new PushClient(link));
  await pushClient.putManifest(repository, 'v2', image, signal);

  proxy.fault(({ method }) => {
    if (method !== 'PUT') return undefined;
    lease.holds = false;
    return { answer: { status: 503 } };
  });
  await assert.rejects(pushClient.putManifest(repository, 'v3', image, signal), isLost);
  const changes = () => proxy.requests.filter(({ method }) => method !== 'GET' && method !== 'HEAD').length;
  assert.equal(changes(), 2);
  const session = { location: `${proxy.url}/v2/${repository}/blobs/uploads/1`, offset: 0 };
  for (const change of [
    () => pushClient.putManifest(repository, 'v4', image, signal),
    () => pushClient.deleteManifest(repository, image.digest, signal),
    () => pushClient.deleteTag(repository, 'v1', { expect: image.digest }, signal),
    () => pushClient.uploads.begin(repository, digest, signal),
    () => pushClient.uploads.finish(repository, digest, session, bodyOf(Buffer.from('{}')), signal),
  ]) {
    await assert.rejects(change(), isLost, String(change));
  }
  assert.equal(changes(), 2);
  assert.ok(await pushClient.hasManifest(repository, image.digest, signal));
});

test('a term is requested while the lease is held, until storage grants one', async () => {
  let attempts = 0;
  const lease = { holds: false };
  const { bus, calls } = busOf(() => {
    attempts += 1;
    if (attempts === 1) throw new Fault('unavailable', 'storage is unavailable');
    return { term: 9 };
  });
  const taking = newTerm({ bus, instance: 'one', log: quiet } as never, lease, signal);
  await new Promise(setImmediate);
  assert.equal(calls.length, 0);
  lease.holds = true;
  assert.equal(await taking, 9);
  assert.deepEqual(
    calls.map(([subject]) => subject),
    [takeTerm.subject, takeTerm.subject],
  );
});
