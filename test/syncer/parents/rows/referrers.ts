import assert from 'node:assert/strict';
import { type Descriptor, mediaTypes } from '#proto/oci/manifest.ts';
import {
  type Answered,
  type Reply,
  refused,
  type ScriptedRegistry,
  type ScriptedRequest,
} from '../../../support/registry/scripted/scripted-registry.ts';
import { type Named, type Row, serves } from '../parent-rig.ts';

/** Referrers: none keeps an image back, and no single answer switches them off. */

const NOTE = 'application/vnd.example.note';
const MISSING = `sha256:${'b'.repeat(64)}`;
const ALL = ['ok', 't', 'noteOfOk', 'noteOfT'];
const html: Reply = { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>Welcome</html>' };

/** Two images with a referrer each. */
function two({ content }: ScriptedRegistry): Named {
  const [ok, t] = [content.image('app', 'ok'), content.image('app', 't')];
  const note = (subject: Descriptor) => content.image('app', undefined, { subject, artifactType: NOTE });
  return { ok, t, noteOfOk: note(ok), noteOfT: note(t) };
}

const isReferrers = ({ path }: ScriptedRequest) => path.includes('/referrers/');
/** Whether the request is for the referrers of this content. */
const isOf = ({ path }: ScriptedRequest, subject: Descriptor | undefined) =>
  path.endsWith(`/referrers/${subject?.digest}`);

const indexOf = (manifests: unknown): Reply => ({
  status: 200,
  headers: { 'content-type': mediaTypes.ociIndex },
  body: JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }),
});

/** Every request for referrers gets this answer. */
const everywhere = (name: string, answer: Answered, reported?: RegExp): Row => ({
  name,
  content: two,
  quirk: (request) => (isReferrers(request) ? answer : undefined),
  has: ['ok', 't'],
  ...(reported && { reported }),
});

/** The list of one image gets this answer, all others are correct. */
const once = (name: string, answer: Answered, reported?: RegExp): Row => ({
  name,
  content: two,
  quirk: (request, { named }) => (isOf(request, named.t) ? answer : undefined),
  has: ['ok', 't', 'noteOfOk'],
  ...(reported && { reported }),
});

/** The list of `ok` has an odd entry after the correct one. */
const entry = (name: string, odd: unknown, reported: RegExp): Row => ({
  name,
  content: two,
  quirk: (request, { named }) =>
    isOf(request, named.ok) ? indexOf([{ ...named.noteOfOk, artifactType: NOTE }, odd]) : undefined,
  has: ALL,
  reported,
});

export const rows: Row[] = [
  { name: 'a correct parent', content: two, has: ALL },
  ...[404, 405, 400, 501].map((status) =>
    everywhere(`no referrers API: ${status}`, refused(status, 'UNSUPPORTED')),
  ),
  ...[401, 403, 406].map((status) =>
    everywhere(
      `a gateway hides the referrers: ${status}`,
      refused(status, 'DENIED'),
      /0 of 2 images are complete; left out: 1 referrer \(app: GET .* set referrers: false/,
    ),
  ),
  everywhere('a page in place of the referrers', html, /not JSON.*set referrers: false/),
  everywhere('JSON that is no index', { status: 200, body: '{"ok":true}' }, /not a list of referrers/),
  everywhere('referrers that are null', indexOf(null)),
  {
    name: 'the referrers of one of 25 images are refused',
    content: ({ content }) => {
      const named: Named = {};
      for (let at = 0; at < 25; at += 1) {
        const image = content.image('app', `t${at}`);
        named[`t${at}`] = image;
        named[`note${at}`] = content.image('app', undefined, { subject: image, artifactType: NOTE });
      }
      return named;
    },
    quirk: (request, { named }) => (isOf(request, named.t12) ? refused(400, 'MANIFEST_INVALID') : undefined),
    has: Array.from({ length: 25 }, (_, at) => (at === 12 ? ['t12'] : [`t${at}`, `note${at}`])).flat(),
    reported: /^24 of 25 images are complete; left out: 1 referrer \(app:t12: /,
  },
  once('404 for the referrers of one image', refused(404, 'MANIFEST_UNKNOWN')),
  ...[400, 403].map((status) =>
    once(
      `${status} for the referrers of one image`,
      refused(status, 'MANIFEST_INVALID'),
      /^1 of 2 images are complete; left out: 1 referrer \(app:t: /,
    ),
  ),
  once('a page for the referrers of one image', html, /app:t: .*not JSON/),
  entry(
    'a listed referrer that is deleted',
    { mediaType: mediaTypes.ociManifest, digest: MISSING, size: 3 },
    /app:ok: the parent has no manifest sha256:bbbb.*push it again at the parent, or delete it there/,
  ),
  entry(
    'a listed referrer with an invalid digest',
    { digest: 'sha256:x' },
    /app:ok: .*without a valid descriptor/,
  ),
  entry('null among the listed referrers', null, /app:ok: .*without a valid descriptor/),
  entry('a text among the listed referrers', 'x', /app:ok: .*without a valid descriptor/),
  {
    name: 'a listed referrer with odd fields',
    content: two,
    quirk: (request, { named: { ok, noteOfOk } }) =>
      isOf(request, ok)
        ? indexOf([{ digest: noteOfOk?.digest, size: '7', annotations: { a: 1 }, artifactType: null }])
        : undefined,
    has: ALL,
  },
  ...['oci.artifact', 'cncf.oras.artifact'].map((kind): Row => {
    const mediaType = `application/vnd.${kind}.manifest.v1+json`;
    return {
      name: `a referrer of the type ${mediaType}`,
      content: (registry) => {
        const named = two(registry);
        const blobs = [registry.content.blob('app', 'an artifact')];
        const document = { mediaType, artifactType: NOTE, blobs, subject: named.ok };
        return { ...named, artifact: registry.content.manifest('app', undefined, mediaType, document) };
      },
      has: ALL,
      lacks: ['artifact'],
      reported: /app:ok: artifact manifests of release candidates are not supported/,
    };
  }),
  {
    name: 'a referrer whose blob is missing',
    content: (registry) => {
      const named = two(registry);
      const layers = ['a signature that was deleted'];
      const lacking = registry.content.image('app', undefined, { subject: named.ok, layers });
      registry.content.of('app').blobs.delete(lacking.layers[0]?.digest ?? '');
      return { ...named, lacking };
    },
    has: ALL,
    lacks: ['lacking'],
    reported: /app:ok: the parent has no blob .*push it again at the parent/,
  },
  ...[
    ['a page', 'text/html', '<html>Welcome</html>', /the manifest is not JSON/],
    ['JSON that is no index', 'application/json', '{"ok":true}', /neither an image manifest nor an index/],
  ].map(
    ([name, type, body, reported]): Row => ({
      name: `${name} under the tag of a list of referrers`,
      content: (registry) => {
        const named = two(registry);
        const tag = String(named.t?.digest).replace(':', '-');
        registry.content.manifest('app', tag, String(type), String(body));
        return named;
      },
      quirk: (request) => (isReferrers(request) ? refused(404, 'NOT_FOUND') : undefined),
      passes: 2,
      has: ['ok', 't'],
      reported: reported as RegExp,
    }),
  ),
  ...['', '.sig'].map(
    (suffix): Row => ({
      name: `the tag of a list of referrers is refused: sha256-…${suffix}`,
      content: (registry) => {
        const named = two(registry);
        const tag = `${named.t?.digest.replace(':', '-')}${suffix}`;
        return { ...named, list: registry.content.index('app', tag, [named.noteOfT as Descriptor]) };
      },
      quirk: (request, { named }) => {
        if (isReferrers(request)) return refused(404, 'NOT_FOUND');
        const tag = `/manifests/${named.t?.digest.replace(':', '-')}`;
        return request.path.includes(tag) ? refused(403, 'DENIED') : undefined;
      },
      passes: 2,
      has: ['ok', 't'],
      reported: /left out: 1 referrer \(app:sha256-.*403/,
    }),
  ),
  {
    name: 'a referrer that the parent does not serve',
    content: two,
    quirk: ({ path, method }, { named }) =>
      method === 'GET' && path.endsWith(`/manifests/${named.noteOfOk?.digest}`)
        ? refused(403, 'DENIED')
        : undefined,
    has: ['ok', 't', 'noteOfT'],
    reported: /app:ok: .*403/,
  },
  {
    name: 'a referrer that the parent has again comes with a full pass',
    content: two,
    quirk: (request, { named }) => {
      const { path, method, earlier } = request;
      const isLacking = method === 'GET' && path.endsWith(`/manifests/${named.noteOfOk?.digest}`);
      return isLacking && earlier < 1 ? refused(404, 'MANIFEST_UNKNOWN') : undefined;
    },
    passes: 2,
    has: ['ok', 't', 'noteOfT'],
    lacks: ['noteOfOk'],
    reported: /app:ok: the parent has no manifest /,
    check: async ({ layer, named }) => {
      assert.equal((await layer.pass({ full: true })).ok, true);
      assert.ok(await serves(layer, named.noteOfOk));
    },
  },
  {
    name: 'a missing referrer that a later configuration does not select',
    content: two,
    quirk: ({ path }, { named }) =>
      path.endsWith(`/manifests/${named.noteOfOk?.digest}`) ? refused(404, 'MANIFEST_UNKNOWN') : undefined,
    has: ['ok', 't', 'noteOfT'],
    reported: /app:ok: the parent has no manifest /,
    check: async ({ layer, registry }) => {
      const repositories = [{ name: 'app', referrers: ['application/vnd.example.other'] }];
      const fields = { mode: 'ReadOnly', schedule: '0 0 1 1 *' } as const;
      await layer.reconfigureWith({ ...fields, parent: { url: registry.url }, repositories });
      assert.equal((await layer.pass()).leftOut, undefined);
    },
  },
  {
    name: 'referrers that are missing are asked for once, and again by a full pass',
    content: (registry) => {
      const named = two(registry);
      const lacking = registry.content.image('app', undefined, { subject: named.ok, layers: ['deleted'] });
      registry.content.of('app').blobs.delete(lacking.layers[0]?.digest ?? '');
      return { ...named, lacking };
    },
    quirk: (request, { named }) =>
      isOf(request, named.t)
        ? indexOf(
            Array.from({ length: 30 }, (_, at) => ({
              mediaType: mediaTypes.ociManifest,
              digest: `sha256:${String(at).padStart(64, '0')}`,
              size: 3,
            })),
          )
        : undefined,
    has: ['ok', 't', 'noteOfOk'],
    lacks: ['lacking'],
    reported: /^0 of 2 images are complete; left out: 31 referrers /,
    check: async ({ registry, layer }) => {
      const asked = () => registry.count('GET', /\/(manifests|blobs)\//);
      const before = asked();
      assert.equal((await layer.pass()).leftOut?.referrers, 31);
      assert.equal(asked(), before);
      await layer.pass({ full: true });
      assert.ok(asked() >= before + 31);
    },
  },
];
