import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { KeyedLock } from '#proto/async/keyed-lock.ts';
import { Bus } from '#proto/bus/bus.ts';
import { Volume } from '#proto/volume/volume.ts';
import { dataFolder } from '../../cli/data/data-folder.ts';
import { type LinkOptions, ParentLink } from '../../services/syncer/link/http/parent-link.ts';
import { ParentRegistry } from '../../services/syncer/link/parent/parent-registry.ts';
import { PushClient } from '../../services/syncer/link/parent/push-client.ts';
import { BehindBook } from '../../services/syncer/reconcile/behind/behind-book.ts';
import type { PassContext } from '../../services/syncer/reconcile/context/pass-context.ts';
import { TransferJobs } from '../../services/syncer/reconcile/context/transfer-jobs.ts';
import { UnsentChanges } from '../../services/syncer/reconcile/context/unsent-changes.ts';
import { quiet } from './bus.ts';
import type { TestLayer } from './layer.ts';

export type PushContextOptions = { until?: number; select?: string[]; signal?: AbortSignal };

/**
 * The context of a pass that pushes to the parent, on the bus and the volume of a running layer. The layer's own syncer
 * carries out the transfers.
 */
export async function pushContext(
  layer: TestLayer,
  link: LinkOptions,
  { until, select = ['*'], signal = new AbortController().signal }: PushContextOptions = {},
): Promise<PassContext & { transferJobs: TransferJobs } & AsyncDisposable> {
  const folder = dataFolder(layer.data);
  const bus = await Bus.connect({
    url: (await readFile(folder.busUrl, 'utf8')).trim(),
    user: 'syncer',
    password: (await readFile(folder.password('syncer'), 'utf8')).trim(),
    layer: 'test',
    instance: 'pass-of-test',
    log: quiet,
  });
  const pass = randomUUID();
  const parentLink = new ParentLink(link);
  const transferJobs = new TransferJobs(bus, quiet, pass, signal, until);
  const unsentChanges = await UnsentChanges.load(bus, signal);
  return {
    bus,
    volume: new Volume(layer.data),
    parent: new ParentRegistry(parentLink),
    pushClient: new PushClient(parentLink),
    transferJobs,
    behind: new BehindBook([]),
    unsentChanges,
    sends: new Set(),
    configuration: {
      repositories: select.map((name) => ({ name, referrers: true, priority: 0, conflict: 'parent-wins' })),
    },
    pass,
    by: 'pass-of-test',
    signal,
    deletions: new KeyedLock(),
    [Symbol.asyncDispose]: async () => {
      transferJobs[Symbol.dispose]();
      unsentChanges[Symbol.dispose]();
      await parentLink[Symbol.asyncDispose]();
      await bus[Symbol.asyncDispose]();
    },
  } as unknown as PassContext & { transferJobs: TransferJobs } & AsyncDisposable;
}
