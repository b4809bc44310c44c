import { gzipSync } from 'node:zlib';
import {
  type Answered,
  type Quirk,
  type Reply,
  refused,
  type ScriptedRequest,
} from '../../support/registry/scripted/scripted-registry.ts';

/** Quirks of a parent that are drawn at random: some answer every request of a kind, some only a part of them. */

type Random = () => number;
/** Builds a quirk, whose own choices use `random`. */
type Draw = (random: Random) => Quirk;

const isManifest = ({ path }: ScriptedRequest) => path.includes('/manifests/');
const isReferrers = ({ path }: ScriptedRequest) => path.includes('/referrers/');
const isUpload = ({ path }: ScriptedRequest) => path.includes('/blobs/uploads/');
const isBlob = (request: ScriptedRequest) => request.path.includes('/blobs/') && !isUpload(request);
const isTags = ({ path }: ScriptedRequest) => path.endsWith('/tags/list');
const reads = ({ method }: ScriptedRequest) => method === 'GET' || method === 'HEAD';

/** The quirk, for a part of the requests that it applies to. */
const sometimes =
  (share: number, quirk: Quirk): Draw =>
  (random) =>
  (request, regular) =>
    random() < share ? quirk(request, regular) : undefined;
const always =
  (quirk: Quirk): Draw =>
  () =>
    quirk;
const when =
  (applies: (request: ScriptedRequest) => boolean, answer: (regular: () => Reply) => Answered): Quirk =>
  (request, regular) =>
    applies(request) ? answer(regular) : undefined;
const changed =
  (applies: (request: ScriptedRequest) => boolean, headers: Record<string, string | undefined>): Quirk =>
  (request, regular) => {
    if (!applies(request)) return undefined;
    const reply = regular();
    const all = Object.entries({ ...reply.headers, ...headers });
    return {
      ...reply,
      headers: Object.fromEntries(all.filter((entry): entry is [string, string] => entry[1] !== undefined)),
    };
  };
const html: Reply = { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>Welcome</html>' };

const zipped = (reply: Reply): Reply => ({
  ...reply,
  headers: { ...reply.headers, 'content-encoding': 'gzip' },
  body: gzipSync(reply.body ?? ''),
});

/** Referrers, manifests and lists. */
export const readQuirks: Record<string, Draw> = {
  'hidden referrers': always(when(isReferrers, () => refused(403, 'DENIED'))),
  'a page as referrers': always(when(isReferrers, () => html)),
  'odd referrers': sometimes(
    0.4,
    when(isReferrers, () => refused(400, 'MANIFEST_INVALID')),
  ),
  'no HEAD': always(
    when(
      (one) => isManifest(one) && one.method === 'HEAD',
      () => refused(405, 'UNSUPPORTED'),
    ),
  ),
  'octet streams': always(changed(isManifest, { 'content-type': 'application/octet-stream' })),
  'no media type': always(changed(isManifest, { 'content-type': undefined })),
  'no digests': always(changed(isManifest, { 'docker-content-digest': undefined })),
  'compressed manifests': always((request, regular) =>
    isManifest(request) && request.method === 'GET' && regular().status === 200
      ? zipped(regular())
      : undefined,
  ),
  'no ranges': always((request, regular) => {
    if (!isBlob(request) || request.method !== 'GET') return undefined;
    const { range: _, ...headers } = request.headers;
    request.headers = headers;
    return regular();
  }),
  'lists without links': always((request, regular) => {
    if (!isTags(request)) return undefined;
    if (Number(request.url.searchParams.get('n') ?? 100) > 100) request.url.searchParams.set('n', '100');
    const { link: _, ...headers } = regular().headers ?? {};
    return { ...regular(), headers };
  }),
  'lists without sizes': always((request) =>
    isTags(request) && request.url.searchParams.has('n')
      ? refused(400, 'PAGINATION_NUMBER_INVALID')
      : undefined,
  ),
};

/** Uploads. */
export const writeQuirks: Record<string, Draw> = {
  'stale offsets': always((request, regular) => {
    if (!isUpload(request) || request.method !== 'PATCH') return undefined;
    const reply = regular();
    return reply.status === 202 ? { ...reply, headers: { ...reply.headers, range: '0-9' } } : reply;
  }),
  'one piece only': always((request) =>
    isUpload(request) && request.method === 'PATCH' && !/^0-/.test(request.headers['content-range'] ?? '0-')
      ? refused(416, 'RANGE_INVALID')
      : undefined,
  ),
  'small bodies only': always((request) =>
    isUpload(request) && request.body.length > 200_000
      ? { status: 413, body: '<html>too large</html>' }
      : undefined,
  ),
  'no mounts': always((request) =>
    request.url.searchParams.has('mount') ? refused(405, 'UNSUPPORTED') : undefined,
  ),
  'no ranges of sessions': always((request, regular) =>
    isUpload(request) && request.method === 'PATCH'
      ? changed(isUpload, { range: undefined })(request, regular)
      : undefined,
  ),
};

/** Faults that pass by themselves. */
export const faults: Record<string, Draw> = {
  'broken connections': sometimes(0.05, () => 'drop'),
  'errors of a proxy': sometimes(0.05, () => ({ status: 502, body: '<html>Bad Gateway</html>' })),
  'limited requests': sometimes(0.03, () => ({ status: 429, headers: { 'retry-after': '0' } })),
  'missing content': sometimes(
    0.05,
    when(
      (one) => reads(one) && (isManifest(one) || isBlob(one)) && one.path.includes('sha256:'),
      () => refused(404, 'NOT_FOUND'),
    ),
  ),
};

/** Draws some of the quirks. @returns their names, and the quirk of them all: the first that answers counts */
export function drawQuirks(random: Random): { names: string[]; quirk: Quirk } {
  const drawn = Object.entries({ ...readQuirks, ...writeQuirks, ...faults })
    .filter(() => random() < 0.2)
    .map(([name, draw]) => ({ name, quirk: draw(random) }));
  return {
    names: drawn.map(({ name }) => name),
    quirk: async (request, regular) => {
      for (const { quirk } of drawn) {
        const answer = await quirk(request, regular);
        if (answer) return answer;
      }
      return undefined;
    },
  };
}
