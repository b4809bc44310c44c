import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { pino } from 'pino';
import { NODE_ENV, NODE_FLAGS } from '../../cli/data/node.ts';
import { runStorage } from '../../services/storage/service.ts';
import type { TestBus } from '../support/bus.ts';

const SERVICES = join(import.meta.dirname, '../../services');

/** Where the services of a rig run: a bus, and a data folder. */
export type RigPlace = { testBus: TestBus; data: string };

/** Storage of a rig, which may still start. In the process of the test, it can be stopped, but not killed. */
export type RigStorage = AsyncDisposable & { kill?: () => Promise<void> };

/** The environment of a service process. */
export const serviceEnvironment = ({ testBus, data }: RigPlace, service: string): NodeJS.ProcessEnv => ({
  ...process.env,
  ...NODE_ENV,
  TERRACE_DATA: data,
  TERRACE_BUS: testBus.url,
  TERRACE_BUS_PASSWORD: `secret-of-${service}`,
  TERRACE_LOG: 'error',
});

export function spawnService(place: RigPlace, service: string, env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, [...NODE_FLAGS, join(SERVICES, service, 'main.ts')], {
    // With an IPC channel, as the supervisor starts it.
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    env: { ...serviceEnvironment(place, service), ...env },
  });
}

/** In this process, whose modules are loaded already. */
export async function hostStorage(place: RigPlace): Promise<RigStorage> {
  process.umask(0o077);
  const end = new AbortController();
  const ended = runStorage({
    service: 'storage',
    instance: 'storage-test',
    layer: 'layer',
    data: place.data,
    bus: await place.testBus.connect('storage'),
    log: pino({ level: 'error' }, pino.destination(2)),
    signal: end.signal,
    env: serviceEnvironment(place, 'storage'),
    serves() {},
    waits() {},
    describe() {},
    measure() {},
  });
  ended.catch(() => {});
  return {
    async [Symbol.asyncDispose]() {
      end.abort(new Error('the rig ends'));
      await ended;
    },
  };
}

/** In a process of its own. */
export function spawnStorage(place: RigPlace): RigStorage {
  const child = spawnService(place, 'storage');
  child.stdout?.pipe(process.stderr);
  return { kill: () => kill(child), [Symbol.asyncDispose]: () => kill(child) };
}

/** With SIGKILL. */
export async function kill(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}
