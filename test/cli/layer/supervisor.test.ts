import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive } from '#proto/process/process-stat.ts';
import { claimPid, livingPid, writePid } from '../../../cli/data/pid-file.ts';
import { type Program, Supervisor, type SupervisorNotice } from '../../../cli/layer/supervisor.ts';
import { patience, until } from '../../support/until.ts';

/** A program that runs a shell script. */
const shell = (name: string, rank: number, script: string): Program => ({
  name,
  rank,
  spawn: () => spawn('/bin/sh', ['-c', script], { stdio: 'ignore' }),
});

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'terrace-supervisor-'));
  const lines = async () =>
    (await readFile(join(path, 'log'), 'utf8').catch(() => '')).split('\n').filter(Boolean);
  return { path, lines, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

describe('the supervisor', { concurrency: true }, () => {
  test('a program that ends is restarted, after a longer delay each time', async () => {
    const notices: SupervisorNotice[] = [];
    const supervisor = new Supervisor((notice) => notices.push(notice));
    supervisor.add(shell('weak', 0, 'exit 3'));
    await until(() => notices.length >= 4, 'four notices');
    await supervisor.stop();
    const delays = notices.slice(0, 4).map(({ message }) => {
      const [, delay] = /^exited with code 3; restarting in ([\d.]+) s$/.exec(message) ?? [];
      return Number(delay) * 1_000;
    });
    delays.forEach((delay, index) => {
      const longest = 200 * 2 ** index;
      assert.ok(delay >= longest / 2 && delay <= longest, `${delay} is not within half of ${longest}`);
    });
    const count = notices.length;
    await sleep(50);
    assert.equal(notices.length, count, 'a stopped supervisor starts nothing');
  });

  test('a program that cannot be started is reported and tried again', async () => {
    const notices: SupervisorNotice[] = [];
    const supervisor = new Supervisor((notice) => notices.push(notice));
    supervisor.add({ name: 'none', rank: 0, spawn: () => spawn('/nonexistent/program') });
    await until(() => notices.length >= 2, 'two notices');
    await supervisor.stop();
    assert.match(notices[0]?.message ?? '', /could not start.*ENOENT/);
  });

  test('a program that waits is started when its turn comes, and never after a stop', async () => {
    const supervisor = new Supervisor(() => {});
    const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    supervisor.add({ ...shell('first', 0, 'exec sleep 60'), after: first.promise });
    let spawned = 0;
    supervisor.add({
      name: 'second',
      rank: 0,
      after: second.promise,
      spawn() {
        spawned += 1;
        return spawn('true');
      },
    });
    assert.deepEqual([supervisor.names(), supervisor.pids()], [['first', 'second'], {}]);
    first.resolve();
    await first.promise;
    assert.deepEqual(Object.keys(supervisor.pids()), ['first']);
    await supervisor.stop();
    second.resolve();
    await second.promise;
    assert.deepEqual([spawned, supervisor.pids()], [0, {}]);
  });

  test('programs stop rank by rank', async () => {
    await using folder = await temporaryFolder();
    const supervisor = new Supervisor(() => {});
    const script = (name: string, last: string) =>
      `trap '${last} echo ${name} ended >> ${folder.path}/log; exit 0' TERM; echo ready >> ${folder.path}/log; while :; do sleep 0.02; done`;
    supervisor.add(shell('bus', 2, script('bus', '')));
    supervisor.add(shell('storage', 1, script('storage', '')));
    supervisor.add(shell('gateway', 0, script('gateway', 'sleep 0.2;')));
    supervisor.add(shell('syncer', 0, script('syncer', '')));
    await until(async () => (await folder.lines()).length === 4, 'four programs');
    await supervisor.stop();
    assert.deepEqual((await folder.lines()).slice(4), [
      'syncer ended',
      'gateway ended',
      'storage ended',
      'bus ended',
    ]);
    assert.deepEqual(supervisor.pids(), {});
  });

  test('a program that takes longer than the share of its rank has the time that later ranks leave', async () => {
    await using folder = await temporaryFolder();
    const notices: SupervisorNotice[] = [];
    const supervisor = new Supervisor((notice) => notices.push(notice), undefined, patience(1_000));
    const ready = `echo ready >> ${folder.path}/log`;
    const untilBusEnds = `until grep -q bus ${folder.path}/log; do sleep 0.02; done; sleep 0.1`;
    const slow = `trap '${untilBusEnds}; echo slow >> ${folder.path}/log; exit 0' TERM; ${ready}; while :; do sleep 0.02; done`;
    const bus = `trap 'echo bus >> ${folder.path}/log; exit 0' TERM; ${ready}; while :; do sleep 0.02; done`;
    supervisor.add(shell('slow', 0, slow));
    supervisor.add(shell('bus', 1, bus));
    await until(async () => (await folder.lines()).length === 2, 'two programs');
    await supervisor.stop();
    assert.deepEqual((await folder.lines()).slice(2), ['bus', 'slow']);
    assert.deepEqual(notices, []);
  });

  test('a program that ignores SIGTERM is killed after the time limit', async () => {
    await using folder = await temporaryFolder();
    const notices: SupervisorNotice[] = [];
    const supervisor = new Supervisor((notice) => notices.push(notice), undefined, 300);
    const ignoring = `trap '' TERM; echo ready >> ${folder.path}/log; while :; do sleep 0.02; done`;
    for (const rank of [0, 0, 1, 2]) supervisor.add(shell(`ignoring-${rank}`, rank, ignoring));
    await until(async () => (await folder.lines()).length === 4, 'four programs');
    const pids = Object.values(supervisor.pids());
    await supervisor.stop();
    assert.ok(pids.every((pid) => !isAlive(pid)));
    assert.equal(notices.filter(({ message }) => /killed/.test(message)).length, 4);
  });

  test('a pid file is held while the process that it names lives', async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, 'pid');
    assert.deepEqual(claimPid(path), { stale: false });
    assert.deepEqual(claimPid(path), { held: process.pid });
    const child = spawn('/bin/sleep', ['60']);
    const pid = child.pid as number;
    writePid(path, pid);
    assert.equal(livingPid(path), pid);
    const text = await readFile(path, 'utf8');
    const { writeFile } = await import('node:fs/promises');
    // The same pid, but of a process that started at another time.
    await writeFile(path, text.replace(/ \d+ /, ' 12345 '));
    assert.equal(livingPid(path), undefined);
    await writeFile(path, text);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    assert.equal(livingPid(path), undefined);
    assert.deepEqual(claimPid(path), { stale: true });
    await writeFile(path, 'nonsense');
    assert.deepEqual(claimPid(path), { stale: true });
  });

  test('of several processes that claim a pid file at once, one holds it', async () => {
    await using folder = await temporaryFolder();
    const program = `
      import { closeSync, openSync, rmSync } from 'node:fs';
      import { claimPid } from ${JSON.stringify(join(import.meta.dirname, '../../../cli/data/pid-file.ts'))};
      const path = process.argv[1];
      for (let count = 0; count < 200; ) {
        if ('held' in claimPid(path)) continue;
        count += 1;
        closeSync(openSync(path + '.inside', 'wx'));
        rmSync(path + '.inside');
        rmSync(path);
      }
    `;
    const children = [1, 2, 3].map(() =>
      spawn(process.execPath, ['--input-type=module', '-e', program, join(folder.path, 'pid')]),
    );
    const codes = await Promise.all(
      children.map((child) => new Promise((resolve) => child.once('exit', resolve))),
    );
    assert.deepEqual(codes, [0, 0, 0]);
    assert.deepEqual(await readdir(folder.path), []);
  });
});
