import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { type Reply, refused } from '../../../support/registry/scripted/scripted-registry.ts';
import type { Row } from '../parent-rig.ts';

const folder = mkdtempSync(join(tmpdir(), 'terrace-logins-'));
const passwordFile = join(folder, 'password');
writeFileSync(passwordFile, 'secret');
after(() => rmSync(folder, { recursive: true, force: true }));

const parent = { username: 'layer', passwordFile };
const BASIC = `Basic ${Buffer.from('layer:secret').toString('base64')}`;
const content: Row['content'] = (registry) => ({ ok: registry.content.image('app', 'ok') });

const challenge = (...values: string[]): Reply => ({
  ...refused(401, 'UNAUTHORIZED'),
  headers: { 'www-authenticate': values },
});

export const rows: Row[] = [
  ...[401, 403, 404].map(
    (status): Row => ({
      name: `a parent with anonymous access answers ${status} for a private repository`,
      parent,
      content,
      quirk: ({ path, headers }) =>
        path === '/v2/' || headers.authorization === BASIC ? undefined : refused(status, 'NAME_UNKNOWN'),
      has: ['ok'],
    }),
  ),
  {
    name: 'a parent offers several schemes, one without a realm',
    parent,
    content,
    quirk: ({ headers }) =>
      headers.authorization === BASIC
        ? undefined
        : challenge('Negotiate', 'Bearer realm="",service="", Basic realm="a, b"'),
    has: ['ok'],
  },
  {
    name: 'a token service takes POST only, and answers 201 with an empty `token`',
    parent,
    content,
    quirk: ({ path, method, headers }) => {
      if (path === '/token' && method !== 'POST') return refused(405, 'UNSUPPORTED');
      if (path === '/token')
        return { status: 201, body: '{"token":"","access_token":"good","expires_in":"300"}' };
      if (headers.authorization === 'Bearer good') return undefined;
      return challenge('Bearer realm="/token",service="",service="r",scope="",scope="repository:app:pull"');
    },
    has: ['ok'],
  },
  {
    name: 'a parent with anonymous access refuses the login',
    parent,
    content,
    quirk: ({ headers }) =>
      refused(headers.authorization ? 401 : 404, headers.authorization ? 'UNAUTHORIZED' : 'NAME_UNKNOWN'),
    lacks: ['ok'],
    check: ({ link, pass }) => {
      assert.equal(link.state, 'Unhealthy');
      assert.match(link.detail ?? '', /the parent answered 401: UNAUTHORIZED/);
      assert.equal(pass.ok, false);
    },
  },
];
