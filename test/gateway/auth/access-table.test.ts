import { deepEqual, equal } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { RepositoryAction } from '#proto/accounts/scopes.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { ALL, basic, bearer, on, Tokens, tokenFor } from '../accounts.ts';
import { GatewayRig, sha256 } from '../gateway-rig.ts';

/** Status of each action × scope × path × mode, by Basic and by Bearer. */

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());

const config = '{}';
const body = JSON.stringify({
  schemaVersion: 2,
  mediaType: mediaTypes.ociManifest,
  config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256(config), size: 2 },
  layers: [],
});
const headers = { 'content-type': mediaTypes.ociManifest };

/**
 * Each route and method, the action that it needs, and its status for an allowed caller: where the content exists, and
 * where the repository does not. No request changes the result of another row.
 */
const absent = sha256('absent');
const id = 'upload-00000000';
type Route = [needs: RepositoryAction, method: string, path: string, existing: number, missing: number];
const routes: Route[] = [
  ['content/read', 'GET', `blobs/${sha256(config)}`, 200, 404],
  ['content/read', 'HEAD', `blobs/${sha256(config)}`, 200, 404],
  ['content/read', 'GET', 'manifests/latest', 200, 404],
  ['content/read', 'HEAD', 'manifests/latest', 200, 404],
  ['content/read', 'GET', `manifests/${sha256(body)}`, 200, 404],
  ['content/read', 'GET', `referrers/${sha256(body)}`, 200, 200],
  ['content/read', 'HEAD', `referrers/${sha256(body)}`, 200, 200],
  ['metadata/read', 'GET', 'tags/list', 200, 404],
  ['metadata/read', 'HEAD', 'tags/list', 200, 404],
  ['content/write', 'PUT', 'manifests/latest', 201, 404],
  ['content/write', 'POST', 'blobs/uploads/', 202, 202],
  ['content/write', 'GET', `blobs/uploads/${id}`, 404, 404],
  ['content/write', 'HEAD', `blobs/uploads/${id}`, 404, 404],
  ['content/write', 'PATCH', `blobs/uploads/${id}`, 404, 404],
  ['content/write', 'PUT', `blobs/uploads/${id}?digest=${absent}`, 404, 404],
  ['content/write', 'DELETE', `blobs/uploads/${id}`, 404, 404],
  ['content/delete', 'DELETE', `blobs/${absent}`, 404, 404],
  ['content/delete', 'DELETE', 'manifests/absent', 404, 404],
  ['content/delete', 'DELETE', `manifests/${absent}`, 404, 404],
];

const scopes: Record<string, string[]> = {
  none: on('other', ...ALL),
  read: on('a/x', 'content/read'),
  list: on('a/x', 'metadata/read'),
  write: on('a/x', 'content/write'),
  delete: on('a/x', 'content/delete'),
  'metadata/write': on('a/x', 'metadata/write'),
  'read + delete': [...on('a/x', 'content/read'), ...on('a/*', 'content/delete')],
  'a/*': on('a/*', ...ALL),
  '*': on('*', ...ALL),
  'b/x and a/*': [...on('b/x', 'content/read'), ...on('a/*', ...ALL)],
  disabled: on('*', ...ALL),
  expired: on('*', ...ALL),
};

/** `yes`: the status of the route for an allowed caller. Columns: read, list, write, delete. */
const table = `
                   a/x                    b/x                    b/none
  none             404  404  403  404     404  404  403  404     404  404  403  404
  read             yes  403  403  403     404  404  403  404     404  404  403  404
  list             403  yes  403  403     404  404  403  404     404  404  403  404
  write            403  403  yes  403     404  404  403  404     404  404  403  404
  delete           403  403  403  yes     404  404  403  404     404  404  403  404
  metadata/write   403  403  403  403     404  404  403  404     404  404  403  404
  read + delete    yes  403  403  yes     404  404  403  404     404  404  403  404
  a/*              yes  yes  yes  yes     404  404  403  404     404  404  403  404
  *                yes  yes  yes  yes     yes  yes  yes  yes     yes  yes  yes  yes
  b/x and a/*      yes  yes  yes  yes     yes  403  403  403     404  404  403  404
  disabled         401  401  401  401     401  401  401  401     401  401  401  401
  expired          401  401  401  401     401  401  401  401     401  401  401  401
  wrong password   401  401  401  401     401  401  401  401     401  401  401  401
  no credentials   401  401  401  401     401  401  401  401     401  401  401  401
`;
const repositories = ['a/x', 'b/x', 'b/none'];
const columns: RepositoryAction[] = ['content/read', 'metadata/read', 'content/write', 'content/delete'];
const rows = table
  .trim()
  .split('\n')
  .slice(1)
  .map((line) => {
    const cells = line.trim().split(/ {2,}/);
    return { scope: cells[0] as string, cells: cells.slice(1) };
  });

const credentials: Record<string, Record<'Basic' | 'Bearer', Record<string, string>>> = {};

before(async () => {
  for (const repository of ['a/x', 'b/x']) {
    await layer.blob(repository, config);
    const put = await layer.fetch('PUT', `/v2/${repository}/manifests/latest`, { headers, body });
    equal(put.status, 201);
  }
  const tokens = await Tokens.of(layer);
  const requested = repositories.map((repository) => `repository:${repository}:*`);
  for (const [index, [scope, actions]] of Object.entries(scopes).entries()) {
    const name = `token-${index}`;
    if (scope === 'expired') {
      const { headers: Basic, bearerHeaders, expired } = await tokens.expiring(name, actions, ...requested);
      await expired();
      credentials[scope] = { Basic, Bearer: bearerHeaders };
      continue;
    }
    const password = await tokens.create(name, actions);
    const Basic = basic(name, password);
    credentials[scope] = { Basic, Bearer: bearer(await tokenFor(layer, Basic, ...requested)) };
    if (scope === 'disabled') await tokens.enable(name, false);
  }
  credentials['no credentials'] = { Basic: {}, Bearer: {} };
  const wrong = basic('token-1', 'wrong');
  credentials['wrong password'] = { Basic: wrong, Bearer: bearer('wrong.wrong.wrong') };
});

for (const { scope, cells } of rows) {
  for (const by of ['Basic', 'Bearer'] as const) {
    for (const mode of ['ReadWrite', 'ReadOnly'] as const) {
      // Each wrong password costs a hash, and the address is throttled after some of them: one route is enough.
      const tested =
        scope === 'wrong password' && by === 'Basic' ? [routes[mode === 'ReadOnly' ? 0 : 9]!] : routes;
      test(`${scope}, by ${by} in ${mode} mode, gets the statuses of its table row`, async () => {
        layer.mode = mode;
        const actual: string[] = [];
        const expected: string[] = [];
        for (const [index, repository] of repositories.entries()) {
          if (tested.length === 1 && index > 0) break;
          for (const [needs, method, path, existing, missing] of tested) {
            const cell = cells[index * columns.length + columns.indexOf(needs)] as string;
            const isWrite = method !== 'GET' && method !== 'HEAD';
            const allowed = mode === 'ReadOnly' && isWrite ? 403 : index < 2 ? existing : missing;
            const status = cell === 'yes' ? allowed : Number(cell);
            const response = await layer.fetch(method, `/v2/${repository}/${path}`, {
              headers: {
                ...credentials[scope]![by],
                ...(method === 'PUT' && path.startsWith('man') && headers),
              },
              ...(method === 'PUT' && path.startsWith('man') ? { body } : {}),
            });
            const answer = await response.text();
            const line = `${method} ${repository}/${path.replace(/[0-9a-f]{40,}/, '…')}`;
            actual.push(`${line} ${response.status} ${codeOf(answer, method)}`);
            expected.push(
              `${line} ${status} ${codeFor(cell, status, mode === 'ReadOnly' && isWrite, line, method)}`,
            );
            equal(response.headers.has('www-authenticate'), status === 401, line);
          }
        }
        layer.mode = 'ReadWrite';
        deepEqual(actual, expected);
      });
    }
  }
}

function codeOf(answer: string, method: string): string {
  if (method === 'HEAD' || !answer.startsWith('{"errors"')) return '';
  const { code, message } = (JSON.parse(answer) as { errors: [{ code: string; message: string }] }).errors[0];
  return code === 'DENIED' ? `${code} ${/^This operation is/.test(message) ? 'mode' : 'account'}` : code;
}

/** Expected error code. Those for missing content come from storage, and are tested elsewhere. */
function codeFor(cell: string, status: number, byMode: boolean, line: string, method: string): string {
  if (method === 'HEAD' || status < 400) return '';
  if (status === 401) return 'UNAUTHORIZED';
  if (status === 403) return `DENIED ${cell === 'yes' && byMode ? 'mode' : 'account'}`;
  if (cell !== 'yes') return 'NAME_UNKNOWN';
  if (line.includes('uploads')) return 'BLOB_UPLOAD_UNKNOWN';
  if (line.includes('PUT')) return 'MANIFEST_BLOB_UNKNOWN';
  if (line.includes('b/none') && /GET|DELETE/.test(line)) return 'NAME_UNKNOWN';
  return line.includes('blobs/') ? 'BLOB_UNKNOWN' : 'MANIFEST_UNKNOWN';
}
