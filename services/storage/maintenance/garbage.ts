import { type Garbage, garbageCollected } from '#proto/content/maintenance.ts';
import { Fault } from '#proto/contract/fault.ts';
import { byAccount } from '../audit/asking.ts';
import type { Found, GarbageRules, Sweep, SweepDeps } from './sweep.ts';
import { sweepContent } from './sweep-content.ts';
import { emptyQuarantine, sweepStrays } from './sweep-files.ts';
import { sweepLinks } from './sweep-links.ts';

/**
 * Takes away what nothing needs, while everything else goes on. A link needs a manifest of its repository that names
 * it, content needs a link or a manifest anywhere; grace stands for both. Whatever a manifest names stays, whether or
 * not a tag points to the manifest.
 */
export class GarbageCollector {
  rules!: GarbageRules;
  readonly #deps: SweepDeps;
  readonly #data: string;
  readonly #end = new AbortController();
  #running = false;

  constructor(deps: SweepDeps, data: string) {
    this.#deps = deps;
    this.#data = data;
  }

  /** @throws Fault `busy` where one runs already */
  async collect(dryRun: boolean): Promise<Garbage> {
    if (this.#running) throw new Fault('busy', 'garbage is being collected already: wait for its end');
    this.#running = true;
    const told = ({ links, blobs, bytes, ingests }: Garbage) => ({ links, blobs, bytes, ingests });
    try {
      if (dryRun) return await this.#collect(true);
      const { audit } = this.#deps;
      return await audit.change({ action: 'garbage/collect' }, () => this.#collect(false), told);
    } finally {
      this.#running = false;
    }
  }

  async #collect(dryRun: boolean): Promise<Garbage> {
    const { publish, log } = this.#deps;
    const began = performance.now();
    const found: Found = { links: 0, blobs: 0, bytes: 0, ingests: 0, repositories: 0, strays: 0 };
    const dry = dryRun ? new Set<string>() : undefined;
    const { signal } = this.#end;
    await this.#run({ ...this.#deps, data: this.#data, rules: this.rules, found, dry, signal });
    const garbage = { dryRun, ...found, ms: Math.round(performance.now() - began) };
    log.info(garbage, dryRun ? 'garbage was counted' : 'garbage was collected');
    publish(garbageCollected, { ...garbage, ...byAccount() });
    return garbage;
  }

  /** A run gives up, which does no harm. */
  end(): void {
    this.#end.abort(new Fault('unavailable', 'storage is ending: ask again'));
  }

  async #run(sweep: Sweep): Promise<void> {
    const { ingests, rules, found, dry } = sweep;
    const given = await ingests.giveUp({ upload: rules.uploadsMs, transfer: rules.transfersMs }, !!dry);
    found.ingests += given.ingests;
    found.bytes += given.bytes;
    await sweepLinks(sweep);
    await sweepContent(sweep);
    await sweepStrays(sweep);
    if (!dry) await emptyQuarantine(sweep);
  }
}
