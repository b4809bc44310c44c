import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Overrides } from '#proto/document/resolve/resolve.ts';
import { repositoriesOf, tagsOf } from '../../support/registry/image.ts';
import {
  type Answered,
  type Quirk,
  refused,
  type ScriptedRequest,
  scriptedRegistry,
} from '../../support/registry/scripted/scripted-registry.ts';
import { until } from '../../support/until.ts';
import { SyncerRig } from '../syncer-rig.ts';

/** Parents that refuse their catalog. Some list the repositories of a project instead. */

const PROJECT = /^\/api\/v2\.0\/projects\/([^/]+)\/repositories$/;
const projects: Record<string, string[]> = {
  line: ['line/a', 'line/b/c', 'line/b/d'],
  many: Array.from({ length: 101 }, (_, at) => `many/r${at}`),
  empty: [],
};

type Listing = { status?: number; encode?: (name: string) => string; total?: boolean; repeat?: boolean };

/** The API of projects: 100 entries per page at most. */
function project({ url, headers }: ScriptedRequest, options: Listing): Answered {
  const [, name = ''] = PROJECT.exec(url.pathname) ?? [];
  const { encode = (text: string) => text, total = true, repeat = false } = options;
  if (!headers.authorization?.startsWith('Basic ')) return refused(401, 'UNAUTHORIZED');
  if (options.status) return refused(options.status, 'FORBIDDEN');
  const [base = ''] = /^[a-z]+/.exec(name) ?? [];
  const all = projects[base]?.map((one) => one.replace(base, name));
  if (!all) return refused(404, 'NOT_FOUND', `project ${name} not found`);
  const size = Math.min(100, Number(url.searchParams.get('page_size')));
  const page = repeat ? 1 : Number(url.searchParams.get('page'));
  const entries = all.slice((page - 1) * size, page * size);
  return {
    status: 200,
    headers: {
      'content-type': 'application/json',
      ...(total && { 'x-total-count': String(all.length) }),
    },
    body: JSON.stringify(entries.map((one, id) => ({ id, project_id: 7, name: encode(one) }))),
  };
}

const parent =
  (answer: (request: ScriptedRequest) => Answered, status = 401): Quirk =>
  (request) => {
    if (request.path === '/v2/_catalog') return refused(status, 'UNAUTHORIZED', 'catalog');
    return PROJECT.test(request.path) ? answer(request) : undefined;
  };

type Row = {
  name: string;
  quirk: Quirk;
  repositories: NonNullable<Overrides['repositories']>;
  /** Repositories that have to come. */
  comes: string[];
  /** What has to be reported. */
  reported?: RegExp;
  /** Requests to the API of projects; default 1. */
  requests?: number;
};

const line = ['line/*'];
const all = ['line/a', 'line/b/c', 'line/b/d'];
const rows: Row[] = [
  { name: 'a project is listed', quirk: parent((r) => project(r, {})), repositories: line, comes: all },
  ...[403, 404, 405].map((status) => ({
    name: `a project is listed where the catalog is ${status}`,
    quirk: parent((r) => project(r, {}), status),
    repositories: line,
    comes: all,
  })),
  {
    name: 'a pattern below a project',
    quirk: parent((r) => project(r, {})),
    repositories: ['line/b/*'],
    comes: ['line/b/c', 'line/b/d'],
  },
  {
    name: 'a project with another name here',
    quirk: parent((r) => project(r, {})),
    repositories: [{ from: 'line/b/*', as: 'cell/*' }],
    comes: ['cell/c', 'cell/d'],
  },
  {
    name: 'pages without a total',
    quirk: parent((r) => project(r, { total: false })),
    repositories: ['many/*'],
    comes: [],
    requests: 3,
  },
  {
    name: 'pages with a total',
    quirk: parent((r) => project(r, {})),
    repositories: ['many/*'],
    comes: [],
    requests: 2,
  },
  ...[1, 2].map((times) => ({
    name: `names that are encoded ${times} times`,
    quirk: parent((r) =>
      project(r, {
        encode: (name) =>
          Array.from({ length: times }).reduce((text: string) => encodeURIComponent(text), name),
      }),
    ),
    repositories: line,
    comes: all,
  })),
  {
    name: 'an empty project',
    quirk: parent((r) => project(r, {})),
    repositories: ['empty/*'],
    comes: [],
  },
  {
    name: 'a project that does not exist, beside one that does',
    quirk: parent((r) => project(r, {})),
    repositories: ['gone/*', 'line/*'],
    comes: all,
    reported: /\/projects\/gone\/.* answered 404: NOT_FOUND .*; check the name of the project gone/,
    requests: 2,
  },
  {
    name: 'a project that may not be listed',
    quirk: parent((r) => project(r, { status: 403 })),
    repositories: ['line/*', 'line/a'],
    comes: ['line/a'],
    reported:
      /_catalog.*FORBIDDEN.*; let the login .* list the repositories of the project line\d+, or name each/,
  },
  {
    name: 'a page that repeats',
    quirk: parent((r) => project(r, { repeat: true, total: false })),
    repositories: line,
    comes: [],
    reported: /a page repeats/,
    requests: 2,
  },
  {
    name: 'all repositories, which no list has',
    quirk: parent((r) => project(r, {})),
    repositories: [{ from: '*', as: 'hub/*' }],
    comes: [],
    reported: /_catalog.*answered 401/,
    requests: 0,
  },
  ...(
    [
      ['a page', { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' }],
      ['another list', { status: 200, body: '[{"name":"line/a"}]' }],
      ['an object', { status: 200, body: '{"repositories":["line/a"]}' }],
      ['an empty list without a total', { status: 200, body: '[]' }],
      ['404', { status: 404, body: '404 page not found' }],
      ['403 of a proxy', { status: 403, body: '<html>no</html>' }],
      ['502 of a proxy', { status: 502, body: '' }],
      ['a redirect', { status: 302, headers: { location: '/login' } }],
    ] as const
  ).map(([name, answer]) => ({
    name: `no API of projects: ${name}`,
    quirk: parent(() => answer as Answered),
    repositories: ['line/*', 'other/*', 'line/a'],
    comes: ['line/a'],
    reported: /_catalog.*answered 401: UNAUTHORIZED/,
  })),
];

/** Repositories that have a tag. */
async function filled(url: string): Promise<string[]> {
  const names = await repositoriesOf(url);
  const tags = await Promise.all(names.map((name) => tagsOf(url, name)));
  return names.filter((_, at) => (tags[at] as string[]).length > 0).sort();
}

let layer: SyncerRig;
let passwordFile: string;
before(async () => {
  layer = await SyncerRig.start('http://127.0.0.1:1', {});
  passwordFile = join(layer.layer.data, 'robot-password');
  await writeFile(passwordFile, 'secret');
});
after(() => layer[Symbol.asyncDispose]());

for (const [at, { name, quirk, repositories, comes, reported, requests = 1 }] of rows.entries()) {
  test(name, async () => {
    // Each row has a project of its own: a layer knows the names of what it had.
    const own = <T>(value: T): T => JSON.parse(JSON.stringify(value).replaceAll('line/', `line${at}/`));
    await using registry = await scriptedRegistry({ quirk });
    for (const repository of own(projects.line as string[])) registry.content.image(repository, '1');
    await layer.configureWith({
      parent: { url: registry.url, username: 'robot$line', passwordFile },
      mode: 'ReadOnly',
      schedule: '0 0 1 1 *',
      repositories: own(repositories),
    });
    await until(() => registry.requests.length > 0, 'the parent is asked');
    await layer.pass();
    registry.requests.length = 0;
    const { failures } = await layer.pass();
    assert.deepEqual(await filled(layer.layer.url), own(comes));
    assert.equal(registry.count('GET', PROJECT), requests);
    if (reported) assert.match(failures.map(({ reason }) => reason).join('\n'), reported);
    else assert.deepEqual(failures, []);
    const authorization = `Basic ${Buffer.from('robot$line:secret').toString('base64')}`;
    for (const { path, headers } of registry.requests)
      if (PROJECT.test(path)) assert.equal(headers.authorization, authorization);
  });
}
