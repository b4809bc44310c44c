import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serveHttp } from '../../support/http-server.ts';
import { contentOf, digestOf, pushArtifact, pushImage, pushIndex } from '../../support/registry/image.ts';
import { until } from '../../support/until.ts';
import { SyncerRig } from '../syncer-rig.ts';
import { serves } from './parent-rig.ts';

/** A layer below a layer, with a gateway between them that refuses some paths. */

/** Forwards requests to the upstream, except those whose path contains what it refuses. */
class Gateway implements AsyncDisposable {
  refuses: string | undefined;
  readonly paths: string[] = [];
  readonly #upstream: string;
  #server: Awaited<ReturnType<typeof serveHttp>> | undefined;

  constructor(upstream: string) {
    this.#upstream = upstream;
  }

  async serve(): Promise<string> {
    this.#server = await serveHttp(async ({ method = 'GET', url: path = '/', headers }, response) => {
      this.paths.push(path);
      if (this.refuses && path.includes(this.refuses)) return void response.writeHead(403).end();
      const { accept, range } = headers;
      const sent = { ...(accept && { accept }), ...(range && { range }) };
      const answer = await fetch(`${this.#upstream}${path}`, { method, headers: sent });
      const kept = [...answer.headers].filter(([name]) => !/^(connection|keep-alive|transfer-)/.test(name));
      response.writeHead(answer.status, Object.fromEntries(kept));
      response.end(Buffer.from(await answer.arrayBuffer()));
    });
    return this.#server.url;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
  }
}

test('a referrer of a platform that a pass of changes could not bring is reported until it comes', async () => {
  await using upper = await SyncerRig.start('http://127.0.0.1:1', {});
  await upper.configureWith({ repositories: ['app'], mode: 'ReadWrite' });
  const { url } = upper.layer;
  const amd64 = await pushImage(url, 'app', undefined);
  const platform = { os: 'linux', architecture: 'amd64' };
  await pushIndex(url, 'app', 'v1', [{ ...amd64, platform }]);
  await using gateway = new Gateway(url);
  const parent = { url: await gateway.serve() };
  await using lower = await SyncerRig.start(parent.url, { mode: 'ReadOnly', repositories: [] });
  await lower.configureWith({
    parent,
    repositories: ['app'],
    mode: 'ReadOnly',
    schedule: '0 0 1 1 *',
  });
  await until(async () => serves(lower, amd64), 'the image is here');
  const before = await lower.pass();
  assert.deepEqual([before.ok, before.leftOut], [true, undefined]);
  const layer = Buffer.from(contentOf({ seed: 'a note', size: 100 }));
  gateway.refuses = digestOf(layer);
  const note = await pushArtifact(url, 'app', { subject: amd64, layers: [layer] });
  for (let passes = 0; passes < 2; passes += 1) {
    const { ok, leftOut } = await lower.pass();
    assert.deepEqual([ok, leftOut?.referrers], [false, 1]);
  }
  assert.equal((await lower.link())?.code, 'content-left-out');
  gateway.refuses = undefined;
  assert.equal((await lower.pass({ full: true })).ok, true);
  assert.ok(await serves(lower, note));
});
