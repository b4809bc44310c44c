import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Exchange } from '#proto/document/exchanges.ts';
import { AnsweringFolders } from '../../../services/storage/exchange/answering-folders.ts';
import { Exchanges, type ExchangesDeps } from '../../../services/storage/exchange/exchanges.ts';

/** Folders on media that hang. */
let root: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'terrace-hung-'));
});
after(() => rm(root, { recursive: true, force: true }));

/** Folders that hang until they are released. */
class Media {
  readonly asked: string[] = [];
  readonly #hung = new Map<string, PromiseWithResolvers<void>>();

  hang(folder: string): void {
    this.#hung.set(folder, Promise.withResolvers());
  }

  async release(folder: string): Promise<void> {
    this.#hung.get(folder)?.resolve();
    this.#hung.delete(folder);
    await turn();
  }

  ask = async (folder: string): Promise<void> => {
    this.asked.push(folder);
    await this.#hung.get(folder)?.promise;
  };
}

test('a folder that does not answer is named, is asked once, and is used once it answers', async () => {
  const media = new Media();
  const folders = new AnsweringFolders(media.ask, 10);
  await folders.mustAnswer('/in');
  media.hang('/in');
  for (let i = 0; i < 3; i += 1) {
    await assert.rejects(folders.mustAnswer('/in'), {
      code: 'unavailable',
      message: /^\/in does not answer: check the medium/,
    });
  }
  assert.deepEqual(media.asked, ['/in', '/in']);
  await folders.mustAnswer('/out');
  await media.release('/in');
  await folders.mustAnswer('/in');
});

test('an error of the file system is an answer', async () => {
  await new AnsweringFolders().mustAnswer(join(root, 'missing'));
});

test('the number of threads that folders hold is bounded', async () => {
  const media = new Media();
  const folders = new AnsweringFolders(media.ask, 1);
  for (const name of ['/1', '/2', '/3', '/4', '/5']) {
    media.hang(name);
    await assert.rejects(folders.mustAnswer(name), { code: 'unavailable' });
  }
  assert.deepEqual(media.asked, ['/1', '/2', '/3', '/4']);
  await assert.rejects(folders.mustAnswer('/5'), {
    message: /^\/5 is not used while \/1, \/2, \/3, \/4 do not/,
  });
  await media.release('/2');
  await folders.mustAnswer('/6');
});

/** Two exchanges, whose imports are noted. */
async function twoInboxes(media: Media, importing: (folder: string) => Promise<void> = async () => {}) {
  const folders = ['a', 'b'].map((name) => join(root, `${media.asked.length}-${Math.random()}`, name));
  for (const [i, folder] of folders.entries()) {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `terrace-l${i}-x-000001-list.json`), '{}');
  }
  const imported: string[] = [];
  const nothing = async () => undefined;
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const archives = {
    importFrom: async (folder: string) => {
      await importing(folder);
      imported.push(folder);
      return { results: [], unusable: [] };
    },
    stop() {},
  };
  const exchanges = new Exchanges({
    ...{ archives, layer: 'x', log, now: Date.now, maxTurnMs: 20 },
    metadata: { peer: nothing, archiveSet: nothing, async *peers() {} },
    answering: new AnsweringFolders(media.ask, 10),
  } as unknown as ExchangesDeps);
  const wanted = folders.map((inbox, i) => ({ peer: `l${i}`, side: 'parent', inbox, repositories: [] }));
  exchanges.configure({ exchanges: wanted as unknown as Exchange[], repositories: [] });
  const failures = () => exchanges.status?.map(({ inbox }) => inbox?.failure?.reason);
  return { exchanges, imported, failures, folders: folders as [string, string] };
}

test('an exchange whose folder hangs is reported, the others go on, and it goes on once the folder answers', async () => {
  const media = new Media();
  const { exchanges, imported, failures, folders } = await twoInboxes(media);
  const [hung, other] = folders;
  media.hang(hung);
  for (let i = 0; i < 3; i += 1) await exchanges.poll();
  assert.deepEqual(imported, [other]);
  assert.match(failures()?.[0] ?? '', /does not answer/);
  assert.equal(failures()?.[1], undefined);
  await media.release(hung);
  for (let i = 0; i < 2; i += 1) await exchanges.poll();
  assert.deepEqual(imported, [other, hung]);
  assert.deepEqual(failures(), [undefined, undefined]);
});

test('a folder that hangs during an import is reported, and the other folders are polled', async () => {
  const media = new Media();
  const server = Promise.withResolvers<void>();
  let hung = '';
  const importing = async (folder: string) => {
    if (folder === hung) await server.promise;
  };
  const { exchanges, imported, failures, folders } = await twoInboxes(media, importing);
  [hung] = folders;
  for (let i = 0; i < 2; i += 1) await exchanges.poll();
  media.hang(hung);
  await exchanges.poll();
  assert.deepEqual(imported, [folders[1]]);
  assert.match(failures()?.[0] ?? '', /does not answer/);
  await media.release(hung);
  server.resolve();
  await turn();
  assert.deepEqual(imported, [folders[1], hung]);
  for (let i = 0; i < 3; i += 1) await exchanges.poll();
  assert.deepEqual(failures(), [undefined, undefined]);
});
