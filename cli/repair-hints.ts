import { hintOf, MAX_HINTS, type RepairHint } from '#proto/repair.ts';
import { connectBus } from './connect.ts';
import { type DataFolder, writeBus } from './data-folder.ts';
import { typeOf } from './event-text.ts';
import { LayerLog } from './layer-log.ts';
import { BUS_START_MS, findNatsServer } from './nats-server.ts';
import { freePort, waitFor } from './ports.ts';
import { busProgram } from './programs.ts';
import { Supervisor } from './supervisor.ts';
import { printError } from './terminal.ts';

/** For reading all events that are kept, in ms. */
const READ_MS = 120_000;

/**
 * What the events that the layer keeps say of its manifests and tags, oldest first. The layer's own bus is started for
 * it, and stopped again; whoever calls holds the pid file of the data folder.
 * @throws Error where they can't be read
 */
export async function hintsOfEvents(folder: DataFolder, env = process.env): Promise<RepairHint[]> {
  const log = new LayerLog('layer', { line() {}, screen() {} });
  const supervisor = new Supervisor(() => {});
  const signal = AbortSignal.timeout(BUS_START_MS + READ_MS);
  try {
    const place = { host: '127.0.0.1', port: await freePort() };
    await writeBus(folder, { ...place, url: `nats://127.0.0.1:${place.port}` });
    supervisor.add(busProgram(findNatsServer(env, printError), folder, log));
    if (!(await waitFor(place, BUS_START_MS))) throw new Error('the bus did not start');
    await using bus = await connectBus(folder, 'terrace-repair');
    const hints: RepairHint[] = [];
    for await (const past of bus.history({ since: 1, signal })) {
      const hint = 'event' in past && past.child === undefined && hintOf(typeOf(past.event), past.event.data);
      if (hint) hints.push(hint);
      if (hints.length === MAX_HINTS) hints.splice(0, MAX_HINTS / 2);
    }
    signal.throwIfAborted();
    return hints;
  } finally {
    await supervisor.stop();
  }
}
