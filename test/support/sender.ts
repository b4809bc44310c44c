import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { KeyedLock } from '#proto/async/keyed-lock.ts';
import { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import { Volume } from '#proto/volume/volume.ts';
import { dataFolder } from '../../cli/data/data-folder.ts';
import { type LinkOptions, ParentLink } from '../../services/syncer/link/http/parent-link.ts';
import { ParentRegistry } from '../../services/syncer/link/parent/parent-registry.ts';
import { PushClient } from '../../services/syncer/link/parent/push-client.ts';
import { BehindBook } from '../../services/syncer/reconcile/behind/behind-book.ts';
import type { PassContext } from '../../services/syncer/reconcile/context/pass-context.ts';
import { Sends } from '../../services/syncer/reconcile/context/sends.ts';
import { TransferJobs } from '../../services/syncer/reconcile/context/transfer-jobs.ts';
import { UnsentChanges } from '../../services/syncer/reconcile/context/unsent-changes.ts';
import { pushTree } from '../../services/syncer/reconcile/push/push-tree.ts';
import { quiet } from './bus.ts';
import type { TestLayer } from './layer.ts';
import { until } from './until.ts';

export type PushContextOptions = { until?: number; select?: string[]; signal?: AbortSignal };

/**
 * The context of a pass that pushes to the parent, on the bus and the volume of a running layer. The layer's own syncer
 * carries out the transfers.
 */
export async function pushContext(
  layer: TestLayer,
  link: LinkOptions,
  { until: windowEnd, select = ['*'], signal = new AbortController().signal }: PushContextOptions = {},
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
  const transferJobs = new TransferJobs(bus, quiet, pass, signal, windowEnd);
  const unsentChanges = await UnsentChanges.load(bus, signal);
  return {
    bus,
    volume: new Volume(layer.data),
    parent: new ParentRegistry(parentLink),
    pushClient: new PushClient(parentLink),
    transferJobs,
    behind: new BehindBook([]),
    unsentChanges,
    sends: new Sends().observe(),
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

/** The move of a tag that parent and layer never agreed on, and that the parent does not have. */
export const newTag = (tag: string) => ({ tag, expect: undefined, base: undefined, known: { base: null } });

/**
 * Pushes content with a new tag. A pass of the layer itself, such as that of a syncer that was restarted, may send the
 * tag meanwhile: then this waits until the parent has it.
 */
export async function pushNewTag(
  context: PassContext,
  repository: Repository,
  digest: Digest,
  tag: Tag,
): Promise<void> {
  await pushTree(context, repository, digest, newTag(tag)).catch(async (error) => {
    if (!Fault.is(error, 'conflict')) throw error;
    const { parent, signal } = context;
    await until(async () => (await parent.resolve(repository, tag, signal)) === digest);
  });
}
