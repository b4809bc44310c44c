import { rm } from 'node:fs/promises';
import { type DataFolder, writeBus } from '../data/data-folder.ts';
import { freePort, waitForPort } from '../data/ports.ts';
import type { LayerLog } from './layer-log.ts';
import { BUS_START_MS } from './nats-server.ts';
import { busProgram } from './programs.ts';
import type { Supervisor } from './supervisor.ts';

/**
 * Starts a nats-server for one command, on a free port of loopback. The caller holds the pid file of the data folder.
 * @param folder as `makeAloneFolders` makes it
 * @returns its URL; undefined if it did not start
 */
export async function startBusAlone(
  natsServer: string,
  folder: DataFolder,
  supervisor: Supervisor,
  log: LayerLog,
): Promise<string | undefined> {
  const address = { host: '127.0.0.1', port: await freePort() };
  const url = `nats://127.0.0.1:${address.port}`;
  await writeBus(folder, { ...address, url });
  supervisor.add(busProgram(natsServer, folder, log));
  return (await waitForPort(address, BUS_START_MS)) ? url : undefined;
}

/** Stops it, and deletes its files. */
export async function stopBusAlone(folder: DataFolder, supervisor: Supervisor): Promise<void> {
  await supervisor.stop();
  await rm(folder.busPid, { force: true });
  await rm(folder.bus, { recursive: true, force: true });
}
