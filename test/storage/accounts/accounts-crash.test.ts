import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { scryptSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  accountsStatus,
  createToken,
  getAccount,
  listTokens,
  rotateToken,
} from '#proto/accounts/accounts.ts';
import { Fault } from '#proto/contract/fault.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { TestBus } from '../../support/bus.ts';
import { patience } from '../../support/until.ts';

const MAIN = join(import.meta.dirname, '../../../services/storage/main.ts');
const ROUNDS = 2;
const ANSWERS = 6;

test('after kills while tokens are created, every returned password is valid, and missing tokens can be created', async () => {
  await using server = await TestBus.start();
  const data = await mkdtemp(join(tmpdir(), 'terrace-accounts-'));
  const operator = await server.connect('operator');
  const gateway = await server.connect('gateway');
  const start = async (): Promise<ChildProcess> => {
    const child = spawn(process.execPath, [MAIN], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...process.env,
        TERRACE_DATA: data,
        TERRACE_BUS: server.url,
        TERRACE_BUS_PASSWORD: 'secret-of-storage',
        TERRACE_LOG: 'error',
      },
    });
    await gateway.call(storageStatus, {}, { patience: patience() });
    return child;
  };
  const returned = new Map<string, string>();
  const requested = new Set<string>();
  const keys = new Set<string>();

  for (let round = 0; round < ROUNDS; round += 1) {
    const storage = await start();
    keys.add((await gateway.call(accountsStatus, {})).key);
    const end = new AbortController();
    const { signal } = end;
    let left = ANSWERS;
    const work = Array.from({ length: 3 }, async (_, worker) => {
      for (let i = 0; !signal.aborted; i += 1) {
        const name = `t-${round}-${worker}-${i}`;
        requested.add(name);
        const actions = [`repositories/${name}/content/read`];
        await operator.call(createToken, { name, actions }, { signal });
        const { password } = await operator.call(rotateToken, { name, password: 'password1' }, { signal });
        returned.set(name, password);
        left -= 1;
        if (left === 0) storage.kill('SIGKILL');
      }
    });
    await once(storage, 'exit');
    end.abort();
    await Promise.allSettled(work);
  }

  const storage = await start();
  assert.ok(returned.size >= ROUNDS * ANSWERS);
  for (const [name, password] of returned) {
    const { account } = await gateway.call(getAccount, { name });
    const [, , , , salt = '', hash] = account?.passwords[0]?.hash.split('$') ?? [];
    const derived = scryptSync(password, Buffer.from(salt, 'base64url'), 32, { N: 2 ** 14, r: 8, p: 1 });
    assert.equal(derived.toString('base64url'), hash, name);
    assert.deepEqual(account?.actions, [`repositories/${name}/content/read`]);
  }
  const { tokens } = await operator.call(listTokens, { limit: 500 });
  const existing = new Set(tokens.map(({ name }) => name));
  for (const name of requested) {
    const creation = operator.call(createToken, { name, scopeMap: '_repositories_pull' });
    if (existing.has(name)) await assert.rejects(creation, (error) => Fault.is(error, 'exists'));
    else await creation;
  }
  assert.equal((await gateway.call(accountsStatus, {})).tokens, requested.size);
  assert.equal(keys.size, 1, 'one signing key');
  storage.kill('SIGTERM');
  await once(storage, 'exit');
  await rm(data, { recursive: true, force: true });
});
