import { deepEqual, equal } from 'node:assert/strict';
import { after, test } from 'node:test';
import { EVERY_MANIFEST, LEFT_OUT_ANNOTATION, recordLeftOut } from '#proto/content/left-out-referrers.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { GatewayRig, sha256, sha512 } from '../gateway-rig.ts';
import { check } from '../rows.ts';

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());

const { ociManifest, ociIndex } = mediaTypes;
const sbom = 'application/vnd.example.sbom';
await layer.blob('app', '{}');
const empty = { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256('{}'), size: 2 };

type Listed = {
  digest: string;
  mediaType: string;
  size: number;
  artifactType?: string;
  annotations?: object;
};

const image = (more: object): string =>
  JSON.stringify({ schemaVersion: 2, config: empty, layers: [], ...more });
const index = (more: object): string => JSON.stringify({ schemaVersion: 2, manifests: [], ...more });

async function push(reference: string, body: string, mediaType: string = ociManifest): Promise<Response> {
  return check(layer, {
    send: ['PUT', `/v2/app/manifests/${reference}`],
    headers: { 'content-type': mediaType },
    body,
    status: 201,
  });
}

/** Reads every page of the list. */
async function referrers(subject: string, query = ''): Promise<{ found: Listed[]; pages: number }> {
  const found: Listed[] = [];
  let pages = 0;
  let next: string | undefined = `/v2/app/referrers/${subject}${query}`;
  while (next) {
    const response = await layer.fetch('GET', next);
    equal(response.status, 200);
    equal(response.headers.get('content-type'), ociIndex);
    equal(response.headers.get('oci-filters-applied'), query === '' ? null : 'artifactType');
    const list = (await response.json()) as { schemaVersion: number; mediaType: string; manifests: Listed[] };
    deepEqual([list.schemaVersion, list.mediaType], [2, ociIndex]);
    found.push(...list.manifests);
    pages += 1;
    next = /^<(.*)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1];
  }
  return { found, pages };
}

for (const digestOf of [sha256, sha512]) {
  test(`images and indexes are listed as referrers of a ${digestOf.name} subject, also before it is pushed`, async () => {
    const text = image({ annotations: { name: digestOf.name } });
    const subject = { mediaType: ociManifest, digest: digestOf(text), size: text.length };
    const annotations = { 'org.example.kind': 'a' };
    const referring = [
      {
        text: image({ subject, annotations }),
        type: ociManifest,
        expectedFields: { artifactType: empty.mediaType, annotations },
      },
      {
        text: image({ subject, artifactType: sbom }),
        type: ociManifest,
        expectedFields: { artifactType: sbom },
      },
      { text: index({ subject }), type: ociIndex, expectedFields: {} },
      {
        text: index({ subject, artifactType: sbom }),
        type: ociIndex,
        expectedFields: { artifactType: sbom },
      },
    ];
    const expected: Listed[] = [];
    for (const { text: body, type, expectedFields } of referring) {
      const digest = digestOf(body);
      const answer = await push(digest, body, type);
      equal(answer.headers.get('oci-subject'), subject.digest);
      expected.push({ mediaType: type, digest, size: body.length, ...expectedFields });
    }
    const byDigest = (a: Listed, b: Listed) => (a.digest < b.digest ? -1 : 1);
    expected.sort(byDigest);
    deepEqual((await referrers(subject.digest)).found.sort(byDigest), expected);
    const filtered = await referrers(subject.digest, `?artifactType=${encodeURIComponent(sbom)}`);
    deepEqual(
      filtered.found.sort(byDigest),
      expected.filter(({ artifactType }) => artifactType === sbom),
    );
    deepEqual((await referrers(subject.digest, '?artifactType=none')).found, []);
    await push(subject.digest, text);
    equal((await referrers(subject.digest)).found.length, 4);
    await check(layer, { send: ['DELETE', `/v2/app/manifests/${subject.digest}`], status: 202 });
    equal((await referrers(subject.digest)).found.length, 4);
    await check(layer, { send: ['DELETE', `/v2/app/manifests/${expected[0]!.digest}`], status: 202 });
    deepEqual((await referrers(subject.digest)).found.sort(byDigest), expected.slice(1));
  });
}

test('a filter applies to every page', async () => {
  const subject = { mediaType: ociManifest, digest: sha256('paged'), size: 5 };
  const expected: string[] = [];
  const texts = Array.from({ length: 230 }, (_, n) => {
    const artifactType = n % 12 === 0 ? 'application/other' : sbom;
    const text = image({ subject, artifactType, annotations: { n: String(n) } });
    if (artifactType === sbom) expected.push(sha256(text));
    return text;
  });
  await Promise.all(texts.map((text) => push(sha256(text), text)));
  const { found, pages } = await referrers(subject.digest, `?artifactType=${encodeURIComponent(sbom)}`);
  equal(pages, 2);
  deepEqual(found.map(({ digest }) => digest).sort(), expected.sort());
});

test('large annotations lead to more pages, not to a larger one', async () => {
  const subject = { mediaType: ociManifest, digest: sha256('large'), size: 5 };
  const texts = Array.from({ length: 8 }, (_, n) =>
    image({ subject, annotations: { n: String(n), a: 'x'.repeat(200_000) } }),
  );
  await Promise.all(texts.map((text) => push(sha256(text), text)));
  const { found, pages } = await referrers(subject.digest);
  equal(found.length, 8);
  equal(pages, 4);
});

test('a client may store a list of referrers under a tag, as for registries without the referrers API', async () => {
  const subject = image({ annotations: { name: 'fallback' } });
  await push(sha256(subject), subject);
  const text = image({ artifactType: sbom });
  await push(sha256(text), text);
  const listed = { mediaType: ociManifest, digest: sha256(text), size: text.length, artifactType: sbom };
  const list = JSON.stringify({ schemaVersion: 2, mediaType: ociIndex, manifests: [listed] });
  const tag = sha256(subject).replace(':', '-');
  await push(tag, list, ociIndex);
  await check(layer, { send: ['GET', `/v2/app/manifests/${tag}`], status: 200, text: list });
  // The listed manifest is no referrer by that: it has no subject.
  deepEqual((await referrers(sha256(subject))).found, []);
  await push(tag, index({ mediaType: ociIndex }), ociIndex);
  await check(layer, { send: ['DELETE', `/v2/app/manifests/${tag}`], status: 202 });
});

test('what the layer could not get is named in an annotation of the first page, with any filter', async () => {
  const text = image({ annotations: { name: 'incomplete' } });
  await push(sha256(text), text);
  const subject = { mediaType: ociManifest, digest: sha256(text), size: text.length };
  const texts = Array.from({ length: 201 }, (_, n) => image({ subject, annotations: { n: String(n) } }));
  await Promise.all(texts.map((each) => push(sha256(each), each)));
  const path = `/v2/app/referrers/${subject.digest}`;
  const annotationsOf = async (at: string) => {
    const response = await layer.fetch('GET', at);
    const { annotations } = (await response.json()) as { annotations?: Record<string, string> };
    const value = annotations?.[LEFT_OUT_ANNOTATION];
    return { leftOut: value && JSON.parse(value), next: response.headers.get('link')?.split(/[<>]/)[1] };
  };
  equal((await annotationsOf(path)).leftOut, undefined);
  const what = { kind: 'referrer' as const, digest: sha256('signature') };
  const first = [{ ...what, code: 'manifest-unknown', reason: 'the parent has none: push it again' }];
  const about = { repository: 'app', subject: subject.digest };
  await layer.bus.call(recordLeftOut, { ...about, count: 1, first });
  const { leftOut, next } = await annotationsOf(path);
  deepEqual(leftOut, { count: 1, first });
  equal((await annotationsOf(next ?? '')).leftOut, undefined, 'on the first page only');
  deepEqual((await annotationsOf(`${path}?artifactType=none`)).leftOut, { count: 1, first });
  const hidden = { code: 'parent-refused', reason: '403' };
  const all = [{ kind: 'referrers' as const, ...hidden }];
  await layer.bus.call(recordLeftOut, { ...about, subject: EVERY_MANIFEST, count: 1, first: all });
  deepEqual((await annotationsOf(path)).leftOut, { count: 1, first, hidden });
  for (const one of [subject.digest, EVERY_MANIFEST])
    await layer.bus.call(recordLeftOut, { ...about, subject: one, count: 0, first: [] });
  equal((await annotationsOf(path)).leftOut, undefined);
});
