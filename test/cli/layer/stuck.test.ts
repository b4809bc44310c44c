import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { processorMsOf } from '#proto/process/cpu-time.ts';
import type { LoopLimits } from '#proto/process/stuck-loop.ts';
import { NODE_FLAGS } from '../../../cli/data/node.ts';
import { Supervisor, type SupervisorNotice } from '../../../cli/layer/supervisor.ts';
import { until } from '../../support/until.ts';

/** Short, but not by the clock: the processor time of a loop does not depend on the load of the machine. */
const LIMITS: LoopLimits = { everyMs: 50, polls: 6, processorMs: 300 };

const start = (channel: 'ipc'[]): ChildProcess =>
  spawn(
    process.execPath,
    [...NODE_FLAGS, join(import.meta.dirname, '../../support/loop.ts'), JSON.stringify(LIMITS)],
    { stdio: ['ignore', 'pipe', 'inherit', ...channel] },
  );

const lines = (child: ChildProcess) => createInterface({ input: child.stdout as NodeJS.ReadableStream });

describe('a process whose event loop is stuck', { concurrency: true }, () => {
  test('is restarted by its supervisor, and a process that is stopped is left alone', async (t) => {
    const notices: SupervisorNotice[] = [];
    const ready: { name: string; child: ChildProcess }[] = [];
    const supervisor = new Supervisor((notice) => notices.push(notice), LIMITS);
    t.after(async () => {
      for (const { child } of ready) child.kill('SIGCONT');
      await supervisor.stop();
    });
    for (const name of ['stopped', 'stuck']) {
      const program = () => {
        const child = start(['ipc']);
        lines(child).on('line', () => ready.push({ name, child }));
        return child;
      };
      supervisor.add({ name, rank: 0, spawn: program });
    }
    await until(() => ready.length === 2, 'the first start of both');
    const pidOf = (name: string) => ready.find((one) => one.name === name)?.child.pid as number;
    process.kill(pidOf('stopped'), 'SIGSTOP');
    process.kill(pidOf('stuck'), 'SIGUSR2');
    await until(() => ready.length === 3, 'the second start of one');
    // By then the stopped process has been polled as often.
    const found = notices.map(({ program, pid, message }) => ({
      program,
      pid,
      why: message.split(';', 1)[0],
    }));
    const why = /^killed: event loop stuck for \d+ s$/;
    assert.deepEqual(
      found.map(({ program, pid }) => ({ program, pid })),
      [{ program: 'stuck', pid: pidOf('stuck') }],
    );
    assert.match(found[0]?.why ?? '', why);
  });

  test('ends by itself without a supervisor, and logs the reason', async (t) => {
    const child = start([]);
    t.after(() => child.kill('SIGKILL'));
    const logged: string[] = [];
    lines(child).on('line', (line) => logged.push(line));
    await until(() => logged.length === 1, 'the start');
    child.kill('SIGUSR2');
    const [, signal] = await once(child, 'exit');
    assert.equal(signal, 'SIGKILL');
    await until(() => logged.length === 2, 'the last line');
    const { level, layer, pid, msg } = JSON.parse(logged[1] as string);
    assert.deepEqual([level, layer, pid], [60, 'here', child.pid]);
    assert.match(msg, /^the event loop has been stuck for \d+ s: killing the process$/);
    assert.equal(processorMsOf(child.pid as number), undefined);
  });
});
