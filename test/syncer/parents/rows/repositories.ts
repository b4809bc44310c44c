import assert from 'node:assert/strict';
import {
  type Answered,
  refused,
  type ScriptedRegistry,
  type ScriptedRequest,
} from '../../../support/registry/scripted/scripted-registry.ts';
import type { Named, Row } from '../parent-rig.ts';

/** Repositories that the parent refuses, or does not list: they are named with the remedy, and delay no other. */

const YEAR_1970 = { date: 'Thu, 01 Jan 1970 00:01:00 GMT' };

/** The image of `app` that is selected, and one of another repository. */
function two({ content }: ScriptedRegistry): Named {
  return { ok: content.image('app', 'ok'), other: content.image('other', 'v1') };
}

/** The repository `other`, which is selected beside `app`, gets this answer. */
const other = (name: string, answer: Answered, reason: RegExp | undefined, tags = /\/tags\/list/): Row => ({
  name,
  content: two,
  fields: { repositories: ['app', 'other'] },
  quirk: ({ repository, path }) => (repository === 'other' && tags.test(path) ? answer : undefined),
  ...(!reason && { has: ['ok'] }),
  check: async ({ pass, layer, named, link }) => {
    const served = await fetch(`${layer.layer.url}/v2/app/manifests/${named.ok?.digest}`);
    assert.equal(served.status, 200, JSON.stringify(pass));
    assert.deepEqual(
      pass.failures.map(({ repository }) => repository),
      reason ? ['other'] : [],
    );
    if (reason) assert.match(pass.failures[0]?.reason ?? '', reason);
    if (reason) assert.match(link.detail ?? '', /^other: /);
    else assert.deepEqual(link.unmatched, ['other']);
  },
});

/** The catalog gets this answer, and a pattern needs it. */
const catalog = (name: string, answer: Answered, check: Row['check']): Row => ({
  name,
  content: two,
  fields: { repositories: ['app', 'line/*'] },
  quirk: ({ path }: ScriptedRequest) => (path === '/v2/_catalog' ? answer : undefined),
  check: async (result) => {
    const { layer, named } = result;
    const served = await fetch(`${layer.layer.url}/v2/app/manifests/${named.ok?.digest}`);
    assert.equal(served.status, 200);
    await check?.(result);
  },
});

const remedy = /; let the login of this layer read the repository there .*, or remove it from repositories$/;

export const rows: Row[] = [
  ...[401, 403].map((status) =>
    other(`a repository is refused: ${status}`, refused(status, 'DENIED'), remedy),
  ),
  other('a repository is missing: 404', refused(404, 'NAME_UNKNOWN'), undefined),
  other('the manifests of a repository are refused', refused(403, 'DENIED'), remedy, /\/manifests\//),
  other('the list of a repository is a page', { status: 200, body: '<html>' }, /not JSON/),
  other(
    'a refusal by a parent with a wrong clock',
    { ...refused(401, 'UNAUTHORIZED'), headers: YEAR_1970 },
    /the clock of this machine says .*, that of the server 1970-01-01 00:01 UTC: set the wrong one/,
  ),
  ...[401, 403, 404].map((status) =>
    catalog(`the catalog is refused: ${status}`, refused(status, 'DENIED'), ({ pass, link }) => {
      assert.match(
        pass.failures[0]?.reason ?? '',
        /; name each repository instead of line\/\* in repositories/,
      );
      assert.equal(link.state, 'Unhealthy');
    }),
  ),
  {
    name: 'names in the catalog that are no valid repositories',
    content: (registry) => {
      for (const name of ['line/App', 'LINE/a b', 'Other']) registry.content.image(name, 'v1');
      return two(registry);
    },
    fields: { repositories: ['app', 'line/*'] },
    passes: 2,
    has: ['ok'],
    reported:
      /^1 of 1 image is complete; left out: 2 repositories \("LINE\/a b", "line\/App": .*rename at the parent/,
    check: async ({ registry, layer }) => {
      for (const name of ['line/App', 'LINE/a b']) registry.content.repositories.delete(name);
      assert.equal((await layer.pass()).ok, true);
    },
  },
  catalog('an empty catalog', { status: 200, body: '{"repositories":[]}' }, ({ link }) => {
    assert.deepEqual(link.unmatched, ['line/*']);
  }),
];
