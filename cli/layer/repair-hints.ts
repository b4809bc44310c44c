import { readFile } from 'node:fs/promises';
import { Bus } from '#proto/bus/bus.ts';
import { isLoopback } from '#proto/document/networks.ts';
import { hintOf, MAX_HINTS, type RepairHint } from '#proto/volume/repair-request.ts';
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

/**
 * Hints about manifests and tags from the layer's stored events, oldest first. The caller holds the pid file of the
 * data folder.
 * @throws Error if the events can't be read
 */
export async function hintsOfEvents(folder: DataFolder): Promise<RepairHint[]> {
  const url = await readFile(folder.busUrl, 'utf8').catch(() => '');
  if (URL.canParse(url) && !isLoopback(new URL(url).hostname)) return hintsOfRunningBus(folder, url.trim());
  return hintsOfStore(folder);
}

/** For a nats-server that runs apart, as with docker compose: no other one may open its store. */
async function hintsOfRunningBus(folder: DataFolder, url: string): Promise<RepairHint[]> {
  const { hostname: host, port } = new URL(url);
  if (!(await isBus({ host, port: Number(port) }))) {
    throw new Error(`the bus at ${url} does not answer: start only the nats-server`);
  }
  return hintsAt(folder, url);
}

/** Starts a nats-server on the layer's event store, with its own configuration. */
async function hintsOfStore({ root, jetstream }: DataFolder, env = process.env): Promise<RepairHint[]> {
  const log = new LayerLog('layer', { line() {}, terminal() {} });
  const supervisor = new Supervisor(() => {});
  const folder = { ...(await makeAloneFolders(root)), jetstream };
  try {
    const url = await startBusAlone(findNatsServer(env, printError), folder, supervisor, log);
    if (url === undefined) throw new Error('the bus did not start');
    return await hintsAt(folder, url);
  } finally {
    await stopBusAlone(folder, supervisor);
  }
}

/** Logs in as storage, which does not run: only this user may read events from the store. */
async function hintsAt(folder: DataFolder, url: string): Promise<RepairHint[]> {
  const password = (await readFile(folder.password('storage'), 'utf8')).trim();
  const about = { layer: 'repair', instance: 'terrace-repair', log: quiet };
  await using bus = await Bus.connect({ url, user: 'storage', password, ...about });
  const signal = AbortSignal.timeout(READ_MS);
  const hints: RepairHint[] = [];
  for await (const past of bus.history({ since: 1, signal })) {
    const hint = 'event' in past && past.child === undefined && hintOf(typeOf(past.event), past.event.data);
    if (hint) hints.push(hint);
    if (hints.length === MAX_HINTS) hints.splice(0, MAX_HINTS / 2);
  }
  signal.throwIfAborted();
  return hints;
}
