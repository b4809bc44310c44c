import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { pushTree } from '../../../../services/syncer/reconcile/push/push-tree.ts';
import { getManifest, pushArtifact, pushImage } from '../../../support/registry/image.ts';
import { PushRig } from './push-rig.ts';

let rig: PushRig;
before(async () => {
  rig = await PushRig.start();
});
after(() => rig?.[Symbol.asyncDispose]());

test('referrers are added to the referrers tag of a parent without the referrers API', async () => {
  rig.resetProxy();
  const subject = await pushImage(rig.layer.url, 'signed', 'v1');
  const one = await pushArtifact(rig.layer.url, 'signed', { subject, annotations: { by: 'one' } });
  const two = await pushArtifact(rig.layer.url, 'signed', {
    subject,
    artifactType: 'application/vnd.example.two',
  });
  await using up = await rig.context();
  for (const { digest } of [subject, one, two, one]) await pushTree(up, 'signed', digest);
  const list = await getManifest(rig.cloud.url, 'signed', subject.digest.replace(':', '-'));
  const { manifests } = JSON.parse(list!.bytes.toString());
  assert.deepEqual(
    manifests.map(({ digest, artifactType, annotations }: Record<string, unknown>) => [
      digest,
      artifactType,
      annotations,
    ]),
    [
      [one.digest, 'application/vnd.example.note', { by: 'one' }],
      [two.digest, 'application/vnd.example.two', undefined],
    ],
  );
});

test('all referrers of an image are added to its referrers tag, also when pushed in parallel', async () => {
  rig.resetProxy();
  const subject = await pushImage(rig.layer.url, 'many', 'v1');
  const names = ['one', 'two', 'three', 'four', 'five'];
  const notes = await Promise.all(
    names.map((by) => pushArtifact(rig.layer.url, 'many', { subject, annotations: { by } })),
  );
  await using up = await rig.context();
  await pushTree(up, 'many', subject.digest);
  await Promise.all(notes.map(({ digest }) => pushTree(up, 'many', digest)));
  const list = await getManifest(rig.cloud.url, 'many', subject.digest.replace(':', '-'));
  const { manifests } = JSON.parse(list!.bytes.toString());
  assert.deepEqual(
    manifests.map(({ digest }: { digest: string }) => digest).sort(),
    notes.map(({ digest }) => digest).sort(),
  );
});

test('a pushed referrer that is missing in the referrers tag is added by the next pass', async () => {
  rig.resetProxy();
  const subject = await pushImage(rig.layer.url, 'unlisted', 'v1');
  const one = await pushArtifact(rig.layer.url, 'unlisted', { subject });
  await using up = await rig.context();
  const list = subject.digest.replace(':', '-');
  await pushTree(up, 'unlisted', subject.digest);
  rig.proxy.fault(({ method, path }) =>
    method === 'PUT' && path.endsWith(list) ? { answer: { status: 403 } } : undefined,
  );
  await assert.rejects(pushTree(up, 'unlisted', one.digest), { code: 'parent-refused' });
  rig.resetProxy();
  await pushTree(up, 'unlisted', one.digest);
  const { manifests } = JSON.parse((await getManifest(rig.cloud.url, 'unlisted', list))!.bytes.toString());
  assert.deepEqual(
    manifests.map(({ digest }: { digest: string }) => digest),
    [one.digest],
  );
});
