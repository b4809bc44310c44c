import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { ImportResult } from '#proto/archive/archives.ts';
import { jittered } from '#proto/async/backoff.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { Exchange } from '#proto/document/exchanges.ts';
import type { ExchangeStatus } from '#proto/status/archive-exchange.ts';
import type { Archives } from '../archive/archives.ts';
import { runAs } from '../audit/caller-context.ts';
import type { MetadataReader } from '../metadata/metadata-reader.ts';
import { AnsweringFolders } from './answering-folders.ts';
import { Inbox } from './inbox.ts';
import { lastImport } from './last-import.ts';
import { Outbox } from './outbox.ts';

/*
 * Exchange of archives with layers to which there is no link, by folders that are polled.
 *
 *   exchanges.ts        one exchange after the other, as the configuration has them; their status
 *   inbox.ts            imports what arrives
 *   last-import.ts      the last import, by the records
 *   outbox.ts           writes what has changed, by its schedule
 *   folder-listing.ts   the files of a folder
 *   answering-folders.ts   which folders answer: one that hangs stops no other
 *   folder-failure.ts   why a folder can not be used
 *
 * What an import does to a tag, and what an archive contains, is in archive/.
 */

const POLL_MS = 5_000;
/** Time for which the others wait for one exchange, in ms. */
const MAX_TURN_MS = 60_000;
const EXCHANGE_CALLER = { account: '_exchange' };

export type ExchangesDeps = {
  archives: Archives;
  metadata: Pick<MetadataReader, 'peer' | 'peers' | 'archiveSet'>;
  /** Name of this layer. */
  layer: string;
  log: Log;
  /** Wall clock, in ms since 1970. */
  now: () => number;
  answering?: Pick<AnsweringFolders, 'mustAnswer'>;
  maxTurnMs?: number;
};

type Running = { exchange: Exchange; inbox?: Inbox; outbox?: Outbox };
type Selections = Configuration['repositories'];

export class Exchanges {
  readonly #deps: ExchangesDeps;
  readonly #answering: Pick<AnsweringFolders, 'mustAnswer'>;
  /** Whose poll has not ended. */
  readonly #polled = new Set<Running>();
  #running: Running[] = [];
  /** In force, and what of it runs already. */
  #wanted: Exchange[] = [];
  #started: Exchange[] = [];
  #selections: Selections = [];
  /** Of `run`: no export or import begins any more. */
  #isStopping = false;

  constructor(deps: ExchangesDeps) {
    this.#deps = deps;
    this.#answering = deps.answering ?? new AnsweringFolders();
  }

  /** Takes effect with the next poll. */
  configure({ exchanges = [], repositories }: Pick<Configuration, 'exchanges' | 'repositories'>): void {
    this.#wanted = exchanges;
    this.#selections = repositories;
  }

  /** Undefined without exchanges. */
  get status(): ExchangeStatus[] | undefined {
    if (this.#running.length === 0) return undefined;
    return this.#running.map(({ exchange: { peer, side }, inbox, outbox }) => ({
      ...(peer !== undefined && { peer }),
      isParent: side === 'child',
      ...(inbox && { inbox: inbox.status }),
      ...(outbox && { outbox: outbox.status }),
    }));
  }

  /** Polls all folders until the signal aborts. */
  async run(signal: AbortSignal, pollMs = POLL_MS): Promise<void> {
    const { log, archives } = this.#deps;
    // An import can take hours.
    const stop = () => {
      this.#isStopping = true;
      archives.stop();
    };
    signal.addEventListener('abort', stop, { once: true });
    while (!signal.aborted) {
      await this.poll().catch((err) => log.error({ err }, 'folders of archives could not be polled'));
      await sleep(jittered(pollMs), undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** Polls each folder once. One that does not come to an end is left behind: the next exchange follows. */
  async poll(): Promise<void> {
    if (!isDeepStrictEqual(this.#wanted, this.#started)) await this.#restart();
    const { maxTurnMs = MAX_TURN_MS } = this.#deps;
    for (const one of this.#running) {
      const turn = new AbortController();
      const work = this.#polled.has(one) ? this.#ask(one) : this.#poll(one);
      const end = sleep(maxTurnMs, undefined, { signal: turn.signal, ref: false }).catch(() => {});
      await Promise.race([work, end]);
      turn.abort();
    }
  }

  async #poll(one: Running): Promise<void> {
    const { log } = this.#deps;
    this.#polled.add(one);
    try {
      await runAs(EXCHANGE_CALLER, async () => {
        await one.inbox?.poll();
        await one.outbox?.poll();
      });
    } catch (err) {
      log.error({ err, peer: one.exchange.peer }, 'folders of archives could not be polled');
    } finally {
      this.#polled.delete(one);
    }
  }

  /** Of an exchange whose poll takes long: whether its medium is the cause. */
  async #ask({ inbox, outbox, exchange: { peer } }: Running): Promise<void> {
    const { log } = this.#deps;
    await Promise.all([inbox?.answers(), outbox?.answers()]).catch((err) =>
      log.error({ err, peer }, 'folders of archives could not be polled'),
    );
  }

  async #restart(): Promise<void> {
    const wanted = this.#wanted;
    const running: Running[] = [];
    const peers = new Set(wanted.flatMap(({ peer }) => peer ?? []));
    for (const exchange of wanted) running.push(await this.#start(exchange, peers));
    this.#running = running;
    this.#started = wanted;
  }

  /** @param others layers that exchanges name */
  async #start(exchange: Exchange, others: ReadonlySet<string>): Promise<Running> {
    const { log, now, metadata } = this.#deps;
    const { peer, inbox: folder } = exchange;
    const known = peer === undefined ? undefined : await metadata.peer(peer);
    const outbox = peer === undefined ? undefined : await this.#outbox(exchange, peer, known?.exported ?? 0);
    if (folder === undefined) return { exchange, ...(outbox && { outbox }) };
    // What was imported before the start may not be acknowledged yet, and what is lacking not be asked for.
    if (known?.imported || (known?.lacking.length ?? 0) > 0) outbox?.onNews();
    const inbox = new Inbox({
      ...{ folder, log, now, answering: this.#answering },
      importSets: (onResult) => this.#import(exchange, folder, onResult),
      last: () => lastImport(metadata, peer, others),
      onNews: () => outbox?.onNews(),
    });
    return { exchange, inbox, ...(outbox && { outbox }) };
  }

  async #outbox(exchange: Exchange, peer: string, exported: number): Promise<Outbox | undefined> {
    const { archives, metadata, layer, log, now } = this.#deps;
    const { outbox: folder, outboxSchedule: schedule, maxPartBytes, signKeyFile } = exchange;
    if (folder === undefined) return undefined;
    const last = await metadata.archiveSet(peer, exported);
    return new Outbox(
      {
        ...{ folder, schedule, layer, peer, log, now, answering: this.#answering },
        acknowledged: async () => (await metadata.peer(peer))?.acknowledged ?? 0,
        exportSet: async (always) => {
          this.#mustGoOn();
          return await archives.export({
            ...{ folder, target: peer, always },
            // A ReadOnly layer changes nothing at its parent.
            repositories:
              exchange.side === 'child' && exchange.mode === 'ReadOnly' ? [] : this.#patternsOf(exchange),
            partBytes: maxPartBytes,
            ...(signKeyFile !== undefined && { keyFile: signKeyFile }),
          });
        },
      },
      last && { number: exported, at: last.created, bytes: last.bytes },
    );
  }

  async #import(
    exchange: Exchange,
    folder: string,
    onResult: (result: ImportResult) => Promise<void>,
  ): ReturnType<Archives['importFrom']> {
    this.#mustGoOn();
    return await this.#deps.archives.importFrom(folder, exchange, this.#selections, onResult);
  }

  /** @throws Fault `unavailable` at the end of the service: a run that begins then would not be stopped */
  #mustGoOn(): void {
    if (this.#isStopping) throw new Fault('unavailable', 'the layer is shutting down');
  }

  /** What is exchanged: the child's own selection, or what the parent grants it. */
  #patternsOf({ side, repositories }: Exchange): string[] {
    return side === 'child' ? this.#selections.map(({ name }) => name) : repositories;
  }
}
