import type { Log } from '#proto/bus/bus.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault, MAX_REASON_LENGTH, toWire } from '#proto/contract/fault.ts';
import type { Repository } from '#proto/oci/names.ts';
import type { LeftOutSummary } from '#proto/sync/left-out.ts';
import type { Parked } from '#proto/sync/outgoing.ts';
import { type Failure, MAX_LISTED_FAILURES, type PassResult } from '#proto/sync/passes.ts';
import type { PassOutcome } from './parent-changes.ts';
import type { PassRequest } from './pass-request.ts';
import { withRemedy } from './refused-repositories.ts';

/** Counters and failures of a pass. */
export class PassStats {
  taken = 0;
  dropped = 0;
  sent = 0;
  withdrawn = 0;
  failed = 0;
  parked = 0;
  /** Selections that matched no tag, or that matched one. */
  selections: Pick<PassResult, 'unmatched' | 'matched'> = {};
  /** Work is left for the next window. */
  closed = false;
  readonly failures: Failure[] = [];
  readonly #failedIn = new Set<Repository>();
  /** Something failed that is not of one repository. */
  #failedElsewhere = false;
  readonly #denied: Parked[] = [];
  /** Content of parked tags, and what is listed of parked manifests, by repository and digest. */
  readonly #parkedTargets = new Set<string>();
  readonly #parkedManifests = new Map<string, Failure>();
  readonly #log: Log;
  readonly #start = performance.now();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Records a failure. @returns undefined if the work only waits for the next window */
  fail(where: Pick<Failure, 'repository' | 'tag'>, error: unknown): Failure | undefined {
    if (Fault.is(error, 'window-closed', 'paused')) {
      this.closed = true;
      return undefined;
    }
    const status = error instanceof Fault ? Number(error.detail?.status) : Number.NaN;
    const failure = {
      ...where,
      ...this.reason(where.repository ? withRemedy(error) : error),
      ...(Number.isInteger(status) && { status }),
    };
    if (where.repository) this.#failedIn.add(where.repository);
    else this.#failedElsewhere = true;
    this.#log.warn(failure, 'part of a pass failed');
    this.failed += 1;
    this.#note(failure);
    return failure;
  }

  /** Whether something failed in the repository, or may have. */
  hasFailedIn(repository: Repository): boolean {
    return this.#failedElsewhere || this.#failedIn.has(repository);
  }

  /** Records a parked change, which waits. Those that the login may not push are one failure. */
  wait(parked: Parked): void {
    const { repository, reference, digest, code, reason, retry } = parked;
    const content = `${repository}@${digest ?? ''}`;
    const isManifest = reference === digest;
    if (isManifest && this.#parkedTargets.has(content)) return;
    if (!isManifest && digest) this.#foldInto(content);
    this.parked += 1;
    if (code === 'denied') {
      this.#denied.push(parked);
      return;
    }
    const until = new Date(retry).toISOString();
    const text = `refused; retried after ${until} or by terrace retry: ${reason}`;
    const failure = { repository, tag: reference, code, reason: clip(text, MAX_REASON_LENGTH) };
    if (isManifest) this.#parkedManifests.set(content, failure);
    this.#note(failure);
  }

  /** A manifest that waits beside a tag that points to it is the same change. */
  #foldInto(content: string): void {
    this.#parkedTargets.add(content);
    const failure = this.#parkedManifests.get(content);
    if (!failure) return;
    this.#parkedManifests.delete(content);
    this.parked -= 1;
    const at = this.failures.indexOf(failure);
    if (at >= 0) this.failures.splice(at, 1);
  }

  reason(err: unknown): { code: string; reason: string } {
    const { code, message } = toWire(err);
    if (!(err instanceof Fault)) this.#log.error({ err }, 'part of a pass failed');
    return { code, reason: message };
  }

  result(pass: string, cause?: PassResult['ended'], leftOut?: LeftOutSummary): PassResult {
    const ended = cause ?? (this.closed ? 'window' : undefined);
    const { taken, dropped, sent, withdrawn, failed, parked, selections } = this;
    const failures = [...this.#denial(), ...this.failures].slice(0, MAX_LISTED_FAILURES);
    const ok = failed === 0 && parked === 0 && !ended && !leftOut;
    const ms = Math.round(performance.now() - this.#start);
    return {
      pass,
      ok,
      taken,
      dropped,
      sent,
      withdrawn,
      failed,
      parked,
      failures,
      ...selections,
      ...(leftOut && { leftOut }),
      ...(ended && { ended }),
      ms,
    };
  }

  outcome({ ended }: Pick<PassResult, 'ended'>): PassOutcome {
    if (ended || this.#failedElsewhere) return { good: false };
    return { good: this.failed === 0, failed: this.#failedIn };
  }

  #denial(): Failure[] {
    const [first] = this.#denied;
    if (!first) return [];
    const names = [...new Set(this.#denied.map(({ repository }) => repository))];
    const count = this.#denied.length === 1 ? '1 change waits' : `${this.#denied.length} changes wait`;
    const where = names.length === 1 ? '' : ` in ${names.length} repositories`;
    const reason = clip(`${count}${where}: ${first.reason}`, MAX_REASON_LENGTH);
    const { repository, reference, code } = first;
    const tag = this.#denied.length === 1 && { tag: reference };
    return [{ ...(names.length === 1 && { repository, ...tag }), code, reason }];
  }

  #note(failure: Failure): void {
    if (this.failures.length < MAX_LISTED_FAILURES) this.failures.push(failure);
  }
}

/** Result of a pass that did nothing. */
export const emptyResult = ({ id }: PassRequest): PassResult => ({
  pass: id,
  ok: false,
  taken: 0,
  dropped: 0,
  sent: 0,
  withdrawn: 0,
  failed: 0,
  parked: 0,
  failures: [],
  ms: 0,
});
