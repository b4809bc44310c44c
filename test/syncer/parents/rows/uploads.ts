import { type Quirk, refused } from '../../../support/registry/scripted/scripted-registry.ts';
import { onUpload, PIECE, refusing, startOf, type UploadRow, withHeaders } from '../upload-rig.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** A limit for request bodies, as of a proxy. */
const limit = (bytes: number) =>
  onUpload(
    Object.fromEntries(
      ['PATCH', 'PUT'].map((method) => [
        method,
        ({ body }) =>
          body.length > bytes
            ? { status: 413, headers: { 'content-type': 'text/html' }, body: '<h1>Too large</h1>' }
            : undefined,
      ]),
    ),
  );

/** Range stays at the first piece, although more was sent. */
const staleRange: Quirk = (request, regular) => {
  const reply = regular();
  return reply.status === 202 && startOf(request) > 0 ? withHeaders(reply, { range: '0-65535' }) : reply;
};

export const rows: UploadRow[] = [
  { name: 'a correct parent', quirk: () => () => undefined, extra: PIECE / 4 },
  {
    name: 'Range stays at the first piece, and sessions have no status',
    extra: PIECE / 4,
    quirk: () =>
      onUpload({
        PATCH: staleRange,
        GET: refusing(405, 'UNSUPPORTED'),
      }),
  },
  {
    name: 'Range counts from the piece',
    extra: PIECE / 4,
    quirk: () =>
      onUpload({
        PATCH: ({ body }, regular) => withHeaders(regular(), { range: `0-${body.length - 1}` }),
        GET: refusing(404, 'BLOB_UPLOAD_UNKNOWN'),
      }),
  },
  {
    name: 'Range is behind, the status of the session too',
    quirk: () =>
      onUpload({
        PATCH: staleRange,
        GET: (_, regular) => withHeaders(regular(), { range: '0-65535' }),
      }),
  },
  {
    name: 'Range is beyond what was sent',
    extra: PIECE / 4,
    quirk: () =>
      onUpload({
        PATCH: (_, regular) => withHeaders(regular(), { range: '0-99999999' }),
        GET: refusing(405, 'UNSUPPORTED'),
      }),
  },
  ...['bytes=0-', '0-', 'bytes 0-'].map(
    (prefix): UploadRow => ({
      name: `Range has the form ${prefix}…`,
      extra: PIECE / 4,
      quirk: () =>
        onUpload({
          PATCH: (request, regular) =>
            withHeaders(regular(), { range: `${prefix}${startOf(request) + request.body.length - 1}` }),
        }),
    }),
  ),
  ...['0--1', 'nonsense', ''].map(
    (range): UploadRow => ({
      name: `Range is ${JSON.stringify(range)}`,
      extra: PIECE / 4,
      quirk: () =>
        onUpload({
          PATCH: (_, regular) => withHeaders(regular(), { range }),
          GET: refusing(405, 'UNSUPPORTED'),
        }),
    }),
  ),
  {
    name: 'a minimum of 5 MiB for a piece',
    extra: PIECE / 4,
    quirk: () =>
      onUpload({
        POST: (_, regular) => withHeaders(regular(), { 'oci-chunk-min-length': String(5 * MIB) }),
        PATCH: ({ body }) => (body.length < 5 * MIB ? refused(416, 'SIZE_INVALID') : undefined),
      }),
  },
  {
    name: 'a minimum of 5 MiB for a piece that is not announced',
    quirk: () =>
      onUpload({ PATCH: ({ body }) => (body.length < 5 * MIB ? refused(416, 'SIZE_INVALID') : undefined) }),
  },
  {
    name: 'a minimum that is beyond all bounds',
    extra: PIECE / 4,
    quirk: () =>
      onUpload({
        POST: (_, regular) => withHeaders(regular(), { 'oci-chunk-min-length': '99999999999' }),
        PATCH: refusing(416),
      }),
  },
  { name: 'no request above 1 MiB', quirk: () => limit(MIB) },
  { name: 'no request above 64 KiB', size: 2 * MIB, quirk: () => limit(64 * KIB) },
  { name: 'no request above 4 MiB', extra: PIECE / 4, quirk: () => limit(4 * MIB) },
  { name: 'no request of 4 MiB', quirk: () => limit(4 * MIB - 1) },
  {
    name: 'no request above 32 KiB',
    size: 2 * MIB,
    quirk: () => limit(32 * KIB),
    refusal: /413.*raise the limit for request bodies at the parent, or at the proxy before it/,
  },
  {
    name: 'a minimum above the limit for request bodies',
    quirk: () => {
      const limited = limit(MIB);
      const announced = onUpload({
        POST: (_, regular) => withHeaders(regular(), { 'oci-chunk-min-length': String(5 * MIB) }),
      });
      return (request, regular) => limited(request, regular) ?? announced(request, regular);
    },
    refusal: /no pieces below 5242880 bytes: raise the limit/,
  },
  ...[400, 416, 404, 405, 410, 501].map(
    (status): UploadRow => ({
      name: `no piece but the first one: ${status}`,
      quirk: () =>
        onUpload({
          PATCH: (request) => (startOf(request) > 0 ? refused(status, 'UNSUPPORTED') : undefined),
        }),
    }),
  ),
  ...[400, 416, 404, 405, 501].map(
    (status): UploadRow => ({
      name: `no PATCH: ${status}`,
      quirk: () => onUpload({ PATCH: refusing(status, 'UNSUPPORTED') }),
    }),
  ),
  {
    name: 'no Content-Range',
    quirk: () => (request, regular) =>
      request.headers['content-range'] ? refused(400, 'RANGE_INVALID') : regular(),
  },
  {
    name: 'sessions that vanish after a piece',
    quirk: () => {
      const seen = new Set<string>();
      return onUpload({
        PATCH: ({ path }) => {
          if (seen.has(path)) return refused(404, 'BLOB_UPLOAD_UNKNOWN');
          seen.add(path);
          return undefined;
        },
      });
    },
  },
  {
    name: 'the end of an upload takes no content',
    quirk: () =>
      onUpload({ PUT: ({ body }) => (body.length > 0 ? refused(400, 'SIZE_INVALID') : undefined) }),
  },
  {
    name: 'the end of an upload ignores its content',
    quirk: () =>
      onUpload({ PUT: ({ body }) => (body.length > 0 ? refused(400, 'DIGEST_INVALID') : undefined) }),
  },
  {
    name: 'little of each piece is kept',
    quirk: () =>
      onUpload({
        PATCH: (request, regular) => {
          request.body = request.body.subarray(0, KIB);
          return regular();
        },
      }),
  },
  {
    name: 'every second piece makes the session forget all of them',
    quirk: () => {
      const stored = new Map<string, number>();
      let pieces = 0;
      const range = (path: string) => ({
        location: path,
        range: `0-${Math.max(0, (stored.get(path) ?? 0) - 1)}`,
      });
      return onUpload({
        PATCH: (request) => {
          const { path, body } = request;
          const start = startOf(request);
          pieces += 1;
          if (start !== (stored.get(path) ?? 0))
            return { ...refused(416, 'BLOB_UPLOAD_INVALID'), headers: range(path) };
          stored.set(path, pieces % 2 === 0 ? 0 : start + body.length);
          return { status: 202, headers: range(path) };
        },
        GET: ({ path }) => ({ status: 204, headers: range(path) }),
      });
    },
  },
  {
    name: 'redirects of pieces',
    quirk: () =>
      onUpload({ PATCH: () => ({ status: 307, headers: { location: 'http://storage.invalid/' } }) }),
  },
  {
    name: 'no pieces, and later a limit of 1 MiB',
    quirk: () => onUpload({ PATCH: refusing(405, 'UNSUPPORTED') }),
    later: () => limit(MIB),
    extraLater: 3 * 9 * MIB,
  },
  {
    name: 'a limit of 1 MiB, and later a minimum of 5 MiB',
    quirk: () => limit(MIB),
    later: () =>
      onUpload({
        POST: (_, regular) => withHeaders(regular(), { 'oci-chunk-min-length': String(5 * MIB) }),
        PATCH: ({ body }) => (body.length < 5 * MIB ? refused(416, 'SIZE_INVALID') : undefined),
      }),
    extraLater: 9 * MIB,
  },
  {
    name: 'an announced minimum of 5 MiB, and later none, and a limit of 4 MiB',
    quirk: () =>
      onUpload({
        POST: (_request, regular) => withHeaders(regular(), { 'oci-chunk-min-length': String(5 * MIB) }),
      }),
    later: () => limit(4 * MIB),
    extraLater: 6 * MIB,
  },
  {
    name: 'no upload at all, whatever the way',
    quirk: () => onUpload({ PATCH: refusing(400, 'UNKNOWN'), PUT: refusing(400, 'UNKNOWN') }),
    refusal: /UNKNOWN.*no other way of sending is left/,
  },
];
