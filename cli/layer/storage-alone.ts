import { readFile } from 'node:fs/promises';
import type { Bus } from '#proto/bus/bus.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { connectBus } from '../connection/connect.ts';
import { aloneFolder, makeAloneFolders } from '../data/data-folder.ts';
import { Refusal } from '../terminal/refusal.ts';
import { printError } from '../terminal/terminal.ts';
import { startBusAlone, stopBusAlone } from './bus-alone.ts';
import { LayerLog } from './layer-log.ts';
import { findNatsServer, stopOrphans } from './nats-server.ts';
import { BUS_PROGRAM, STORAGE_START_MS, storageProgram } from './programs.ts';
import { Supervisor } from './supervisor.ts';

export type StorageAlone = AsyncDisposable & { bus: Bus };

/** Starts a bus and storage for one command. The caller holds the pid file of the data folder. @throws Refusal */
export async function startStorageAlone(data: string, env = process.env): Promise<StorageAlone> {
  // The last error of each program.
  const failures = new Map<string, string>();
  const log = new LayerLog('layer', { line: (line) => noteFailure(failures, line), terminal() {} });
  const natsServer = findNatsServer(env, printError);
  const folder = aloneFolder(data);
  const supervisor = new Supervisor(({ program, level, message }) => log.write(program, level, message));
  const stop = () => stopBusAlone(folder, supervisor);
  try {
    await stopOrphans(folder);
    await makeAloneFolders(data);
    const busUrl = await startBusAlone(natsServer, folder, supervisor, log);
    if (busUrl === undefined) {
      throw new Refusal(
        `nats-server (${natsServer}) did not start: ${failures.get(BUS_PROGRAM) ?? 'it reported no reason'}`,
      );
    }
    const password = (await readFile(folder.password('storage'), 'utf8')).trim();
    const settings = {
      folder,
      busUrl,
      env: { ...env, TERRACE_BUS_PASSWORD: password, TERRACE_ALONE: '1' },
      name: 'layer',
    };
    supervisor.add(storageProgram(settings, log));
    const bus = await connectBus(folder, 'terrace-alone');
    try {
      const request = bus.call(storageStatus, {}, { patience: STORAGE_START_MS });
      await Promise.race([request, supervisor.unrecoverable]);
    } catch (error) {
      if (error instanceof Refusal) throw error;
      const why = failures.get('storage') ?? 'it reported no reason';
      throw new Refusal(`storage did not start on ${data}: ${why}`);
    }
    return {
      bus,
      async [Symbol.asyncDispose]() {
        await bus[Symbol.asyncDispose]();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Level of pino. */
const ERROR = 50;

function noteFailure(failures: Map<string, string>, line: string): void {
  const { level, service, msg, err } = JSON.parse(line) as {
    level: number;
    service: string;
    msg: string;
    err?: { message?: string };
  };
  if (level >= ERROR) failures.set(service, [msg, err?.message].filter(Boolean).join(': '));
}
