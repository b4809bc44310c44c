import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus, type Log } from '#proto/bus/bus.ts';
import { type UserName, userNames } from '#proto/contract/users.ts';
import { busConfiguration } from '../../cli/data/bus-configuration.ts';
import { freePort } from './ports.ts';
import { patience } from './until.ts';

const STORAGE_INSTANCE = 'storage-keeper';

/** A nats-server for one test, on a free port, with the users and permissions of a layer. */
export class TestBus implements AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly folder: string;
  readonly #program: string;
  #server: ChildProcess | undefined;
  readonly #buses: Bus[] = [];

  /** @param program path of another nats-server than the installed one */
  static async start(program = 'nats-server'): Promise<TestBus> {
    const folder = await mkdtemp(join(tmpdir(), 'terrace-bus-'));
    const bus = new TestBus(await freePort(), folder, program);
    const passwords = Object.fromEntries(userNames.map((user) => [user, `secret-of-${user}`]));
    const text = busConfiguration({
      host: '127.0.0.1',
      port: bus.port,
      store: join(folder, 'jetstream'),
      passwords: passwords as Record<UserName, string>,
    });
    await writeFile(join(folder, 'nats.conf'), text);
    await bus.up();
    // As in a layer, storage answers the JetStream requests of the other users.
    await bus.connect('storage', STORAGE_INSTANCE);
    return bus;
  }

  private constructor(port: number, folder: string, program: string) {
    this.#program = program;
    this.port = port;
    this.folder = folder;
    this.url = `nats://127.0.0.1:${port}`;
  }

  /** Connects as one of the layer's users. The connection is closed with this bus. */
  async connect(user: UserName, instance = `${user}-test`, log = quiet): Promise<Bus> {
    const bus = await Bus.connect({
      url: this.url,
      user,
      password: `secret-of-${user}`,
      layer: 'test',
      instance,
      log,
    });
    this.#buses.push(bus);
    return bus;
  }

  async up(): Promise<void> {
    this.#server = spawn(this.#program, ['-c', join(this.folder, 'nats.conf')], { stdio: 'ignore' });
    await reachable(this.port);
  }

  /** SIGKILL. `forget`: the store of JetStream is deleted, too. */
  async kill({ forget = false } = {}): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server && server.exitCode === null) {
      server.kill('SIGKILL');
      await once(server, 'exit');
    }
    if (forget) await rm(join(this.folder, 'jetstream'), { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const [storage, ...others] = this.#buses;
    // Storage is closed last: it answers the last requests of the others.
    await Promise.all(others.map((bus) => bus[Symbol.asyncDispose]()));
    await storage?.[Symbol.asyncDispose]();
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}

export const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** Resolves when a server accepts connections on the port. @throws the last error after `patience()` */
export async function reachable(port: number, address = '127.0.0.1'): Promise<void> {
  const deadline = performance.now() + patience();
  for (;;) {
    const socket = createConnection(port, address);
    try {
      await once(socket, 'connect');
      socket.destroy();
      return;
    } catch (error) {
      socket.destroy();
      if (performance.now() > deadline) throw error;
      await sleep(20);
    }
  }
}
