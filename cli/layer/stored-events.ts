import { readFile } from 'node:fs/promises';
import { Bus } from '#proto/bus/bus.ts';
import { isLoopback } from '#proto/document/networks.ts';
import { isBus, quiet } from '../connection/connect.ts';
import { type DataFolder, makeAloneFolders } from '../data/data-folder.ts';
import { printError } from '../terminal/terminal.ts';
import { typeOf } from '../text/event-text.ts';
import { startBusAlone, stopBusAlone } from './bus-alone.ts';
import { LayerLog } from './layer-log.ts';
import { findNatsServer } from './nats-server.ts';
import { Supervisor } from './supervisor.ts';

/** Max time to read all stored events, in ms. */
const READ_MS = 120_000;

/** @param type as declared, without `terrace.` */
export type VisitEvent = (type: string, data: unknown) => void;

/**
 * Reads the stored events of a layer that does not run, oldest first, without those of layers below. The caller holds
 * the pid file of the data folder.
 * @param since number of the first event, or a time
 * @throws Error if the events can't be read
 */
export async function readStoredEvents(
  folder: DataFolder,
  since: number | Date,
  visit: VisitEvent,
): Promise<void> {
  const url = await readFile(folder.busUrl, 'utf8').catch(() => '');
  const isApart = URL.canParse(url) && !isLoopback(new URL(url).hostname);
  return isApart ? readRunningBus(folder, url.trim(), since, visit) : readStore(folder, since, visit);
}

/** For a nats-server that runs apart, as with docker compose: no other one may open its store. */
async function readRunningBus(
  folder: DataFolder,
  url: string,
  since: number | Date,
  visit: VisitEvent,
): Promise<void> {
  const { hostname: host, port } = new URL(url);
  if (!(await isBus({ host, port: Number(port) }))) {
    throw new Error(`the bus at ${url} does not answer: start only the nats-server`);
  }
  await readAt(folder, url, since, visit);
}

/** Starts a nats-server on the layer's event store, with its own configuration. */
async function readStore(
  { root, jetstream }: DataFolder,
  since: number | Date,
  visit: VisitEvent,
  env = process.env,
): Promise<void> {
  const log = new LayerLog('layer', { line() {}, terminal() {} });
  const supervisor = new Supervisor(() => {});
  const folder = { ...(await makeAloneFolders(root)), jetstream };
  try {
    const url = await startBusAlone(findNatsServer(env, printError), folder, supervisor, log);
    if (url === undefined) throw new Error('the bus did not start');
    await readAt(folder, url, since, visit);
  } finally {
    await stopBusAlone(folder, supervisor);
  }
}

/** Logs in as storage, which does not run: only this user may read events from the store. */
async function readAt(
  folder: DataFolder,
  url: string,
  since: number | Date,
  visit: VisitEvent,
): Promise<void> {
  const password = (await readFile(folder.password('storage'), 'utf8')).trim();
  const about = { layer: 'repair', instance: 'terrace-repair', log: quiet };
  await using bus = await Bus.connect({ url, user: 'storage', password, ...about });
  const signal = AbortSignal.timeout(READ_MS);
  for await (const past of bus.history({ since, signal })) {
    if ('event' in past && past.child === undefined) visit(typeOf(past.event), past.event.data);
  }
  signal.throwIfAborted();
}
