import assert from 'node:assert/strict';
import { type Descriptor, mediaTypes } from '#proto/oci/manifest.ts';
import {
  type Reply,
  refused,
  type ScriptedRegistry,
  type ScriptedRequest,
} from '../../../support/registry/scripted/scripted-registry.ts';
import { type Named, type Row, serves } from '../parent-rig.ts';

/** Further answers that are odd, and whose content is right. */

const NOTE = 'application/vnd.example.note';
const OTHER = 'application/vnd.example.other';
const ALL = ['t', 'note', 'layer', 'config'];

function content({ content: stored }: ScriptedRegistry): Named {
  const t = stored.image('app', 't');
  const referrer = (artifactType: string) =>
    stored.image('app', undefined, { subject: t, artifactType, layers: [artifactType] });
  return {
    t,
    note: referrer(NOTE),
    other: referrer(OTHER),
    layer: t.layers[0] as Descriptor,
    config: t.config,
  };
}

const isManifest = ({ path }: ScriptedRequest) => path.includes('/manifests/');
const isBlob = ({ path }: ScriptedRequest) => path.includes('/blobs/');

/** Good answers to these requests become other ones. */
const answers = (
  name: string,
  matches: (request: ScriptedRequest) => boolean,
  change: (reply: Reply) => Reply,
): Row => ({
  name,
  content,
  quirk: (request, { regular }) => {
    const reply = regular();
    return matches(request) && reply.status < 300 ? change(reply) : undefined;
  },
  has: ALL,
});

const asStatus = (status: number) => (reply: Reply) => ({ ...reply, status });

/** The parent lists referrers without their artifact type, and one of two types is selected. */
const untyped = (name: string, quirk: NonNullable<Row['quirk']>): Row => ({
  name,
  content,
  quirk,
  fields: { repositories: [{ name: 'app', referrers: [NOTE] }] },
  passes: 2,
  has: ALL,
  lacks: ['other'],
});

const entries = ({ note, other }: Named) =>
  [note, other].map((one) => ({ mediaType: mediaTypes.ociManifest, digest: one?.digest, size: one?.size }));

export const rows: Row[] = [
  ...[403, 410, 412, 451].map(
    (status): Row => ({
      name: `one tag is refused with ${status}`,
      content: (registry) => {
        const named = content(registry);
        return { ...named, blocked: registry.content.image('app', 'blocked') };
      },
      quirk: ({ path }) => (path.endsWith('/manifests/blocked') ? refused(status, 'DENIED') : undefined),
      check: async ({ pass, link, layer, named }) => {
        for (const name of ALL) assert.ok(await serves(layer, named[name]), name);
        assert.deepEqual([pass.failed, pass.failures[0]?.tag], [1, 'blocked']);
        assert.equal(link.state, 'Unhealthy');
      },
    }),
  ),
  ...(['tag', 'digest'] as const).map(
    (by): Row => ({
      name: `one image is answered with 500, ${by === 'tag' ? 'asked for by its tag' : 'but its digest is known'}`,
      content: (registry) => {
        const named = content(registry);
        return { ...named, failing: registry.content.image('app', 'failing') };
      },
      quirk: ({ path, method }, { named }) => {
        const isFailing =
          by === 'tag'
            ? path.endsWith('/manifests/failing')
            : method === 'GET' && new RegExp(`/manifests/(failing|${named.failing?.digest})$`).test(path);
        return isFailing ? refused(500, 'INTERNAL') : undefined;
      },
      check: async ({ pass, link, layer, named }) => {
        for (const name of ALL) assert.ok(await serves(layer, named[name]), name);
        assert.deepEqual([pass.failed, pass.failures[0]?.tag, pass.failures[0]?.status], [1, 'failing', 500]);
        assert.deepEqual([link.state, link.code], ['Unhealthy', 'parent-unreachable']);
        assert.match(link.detail ?? '', /app:failing: .*500/);
      },
    }),
  ),
  answers('manifests with 203', isManifest, asStatus(203)),
  answers('manifests with 206', (request) => isManifest(request) && request.method === 'GET', asStatus(206)),
  answers('blobs with 203', isBlob, ({ body = '' }) => ({ status: 203, body })),
  answers(
    'HEAD of manifests with 204',
    (request) => isManifest(request) && request.method === 'HEAD',
    () => ({ status: 204 }),
  ),
  answers('two digest headers', isManifest, (reply) => ({
    ...reply,
    headers: {
      ...reply.headers,
      'docker-content-digest': [
        `sha256:${'e'.repeat(64)}`,
        String(reply.headers?.['docker-content-digest'] ?? ''),
      ],
    },
  })),
  answers('blobs that a header calls compressed', isBlob, (reply) => ({
    ...reply,
    headers: { ...reply.headers, 'content-encoding': 'gzip' },
  })),
  untyped('a list of referrers without artifact types', ({ path }, { named }) =>
    path.endsWith(`/referrers/${named.t?.digest}`)
      ? { status: 200, body: JSON.stringify({ schemaVersion: 2, manifests: entries(named) }) }
      : undefined,
  ),
  {
    ...untyped('a list under a tag without artifact types', ({ path }) =>
      path.includes('/referrers/') ? refused(404, 'NOT_FOUND') : undefined,
    ),
    content: (registry) => {
      const named = content(registry);
      const tag = named.t?.digest.replace(':', '-');
      registry.content.index('app', tag, entries(named) as Descriptor[]);
      return named;
    },
  },
  ...['\uFEFF', '\n\n ', ''].map(
    (before): Row => ({
      name: `a manifest that begins with ${JSON.stringify(before)} and ends with a line break`,
      content: ({ content: stored }) => {
        const { digest } = stored.image('app', undefined);
        const bytes = stored.of('app').manifests.get(digest)?.bytes ?? Buffer.alloc(0);
        const text = Buffer.concat([Buffer.from(before), bytes, Buffer.from('\n')]);
        return { t: stored.manifest('app', 't', mediaTypes.ociManifest, text) };
      },
      has: ['t'],
    }),
  ),
];
