import assert from 'node:assert/strict';
import { type Quirk, type Reply, refused } from '../../../support/registry/scripted/scripted-registry.ts';
import { onUpload, PIECE, refusing, startOf, type UploadRow, withHeaders } from '../upload-rig.ts';

/** Nothing is sent in vain. */
const FREE = { extra: PIECE / 4 };

const withStatus = (reply: Reply, status: number): Reply =>
  reply.status < 300 ? { ...reply, status } : reply;

const withLocation =
  (edit: (location: string) => string | undefined): Quirk =>
  (_, regular) => {
    const { headers = {}, ...reply } = regular();
    const { location, ...others } = headers as Record<string, string>;
    const edited = location && edit(location);
    return { ...reply, headers: { ...others, ...(edited && { location: edited }) } };
  };

/** Answers the first request to each later piece with this, which takes nothing. */
const once = (reply: Reply): Quirk => {
  const seen = new Set<string>();
  return (request) => {
    const key = `${request.path} ${startOf(request)}`;
    if (startOf(request) === 0 || seen.has(key)) return undefined;
    seen.add(key);
    return reply;
  };
};

export const rows: UploadRow[] = [
  ...[200, 201, 204].map(
    (status): UploadRow => ({
      name: `${status} to a piece`,
      ...FREE,
      quirk: () => onUpload({ PATCH: (_, regular) => withStatus(regular(), status) }),
    }),
  ),
  ...[200, 204].map(
    (status): UploadRow => ({
      name: `${status} to the end`,
      ...FREE,
      quirk: () => onUpload({ PUT: (_, regular) => withStatus(regular(), status) }),
    }),
  ),
  ...[200, 201, 204].map(
    (status): UploadRow => ({
      name: `${status} to the beginning`,
      ...FREE,
      quirk: () => onUpload({ POST: (_, regular) => withStatus(regular(), status) }),
    }),
  ),
  {
    name: 'another digest in the answer to the end',
    ...FREE,
    quirk: () =>
      onUpload({
        PUT: (_, regular) => withHeaders(regular(), { 'docker-content-digest': `sha256:${'0'.repeat(64)}` }),
      }),
  },
  {
    name: '202 to the end, and the blob is there only later',
    ...FREE,
    quirk: () => {
      const checks = new Map<string, number>();
      return ({ method, path }, regular) => {
        if (method === 'PUT' && path.includes('/blobs/uploads/')) return withStatus(regular(), 202);
        if (method !== 'HEAD' || !path.includes('/blobs/')) return undefined;
        const reply = regular();
        const asked = checks.get(path) ?? 0;
        if (reply.status === 200) checks.set(path, asked + 1);
        return asked === 0 ? refused(404, 'BLOB_UNKNOWN') : reply;
      };
    },
  },
  ...[500, 404, 400, 416].map(
    (status): UploadRow => ({
      name: `${status} to the end, although the blob is taken`,
      ...FREE,
      quirk: () =>
        onUpload({
          PUT: (_, regular) => {
            regular();
            return { status };
          },
        }),
    }),
  ),
  {
    name: 'no Location but at the beginning',
    ...FREE,
    quirk: () => onUpload({ PATCH: withLocation(() => undefined), GET: withLocation(() => undefined) }),
  },
  {
    name: 'no Location at all, but an id',
    ...FREE,
    quirk: () =>
      onUpload({
        POST: (_, regular) => {
          const id = regular().headers?.location?.toString().split('/').at(-1) ?? '';
          return { status: 202, headers: { 'docker-upload-uuid': id } };
        },
      }),
  },
  {
    name: 'a Location that is not valid, but at the beginning',
    ...FREE,
    quirk: () => onUpload({ PATCH: withLocation(() => 'http://[') }),
  },
  {
    name: 'a Location with a path only',
    ...FREE,
    quirk: () => onUpload({ PATCH: withLocation((location) => location.split('/').at(-1)) }),
  },
  {
    name: 'a Location with a name by which the parent is not reached',
    ...FREE,
    quirk: () => {
      const elsewhere = withLocation((location) => `https://registry.internal:5000${location}`);
      return onUpload({ POST: elsewhere, PATCH: elsewhere });
    },
  },
  {
    name: 'a Location that changes with each piece, and the one before it is no longer valid',
    ...FREE,
    quirk: () => {
      const states = new Map<string, number>();
      const next = withLocation((location) => {
        const path = location.split('?', 1)[0] ?? '';
        const state = (states.get(path) ?? 0) + 1;
        states.set(path, state);
        return `${path}?_state=${state}`;
      });
      const valid: Quirk = (request, regular) =>
        request.url.searchParams.get('_state') === String(states.get(request.path))
          ? next(request, regular)
          : refused(404, 'BLOB_UPLOAD_UNKNOWN');
      return onUpload({ POST: next, PATCH: valid });
    },
  },
  {
    name: '429 with Retry-After to a later piece',
    quirk: () => onUpload({ PATCH: once({ status: 429, headers: { 'retry-after': '0' } }) }),
    extra: 3 * PIECE,
    extraLater: 3 * PIECE,
  },
  {
    name: '503 with Retry-After to a later piece, and sessions have no status',
    quirk: () =>
      onUpload({
        PATCH: once({ status: 503, headers: { 'retry-after': '0' } }),
        GET: refusing(404, 'BLOB_UPLOAD_UNKNOWN'),
      }),
    extra: 3 * PIECE,
    extraLater: 3 * PIECE,
    check: ({ requests }) => {
      const begun = requests.filter(
        ({ method, path }) => method === 'POST' && path.includes('/blobs/uploads/'),
      );
      assert.equal(begun.length, 2, 'the session is lost');
    },
  },
  {
    name: 'no HEAD of content by digest',
    ...FREE,
    quirk:
      () =>
      ({ method, path }) =>
        method === 'HEAD' && path.includes('sha256:') ? { status: 405 } : undefined,
  },
];
