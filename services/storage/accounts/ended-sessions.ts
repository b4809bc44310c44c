import type { Static } from '@sinclair/typebox';
import { type endSession, MAX_ENDED_SESSIONS, sessionEnded } from '#proto/accounts/sessions.ts';
import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { byAccount } from '../audit/caller-context.ts';
import { drop, type Metadata, put } from '../metadata/metadata.ts';

/** A record is kept this much longer than its session could go on, in ms: clocks are corrected. */
const KEPT_MS = 24 * 60 * 60_000;

type EndedSessionsDeps = { metadata: Metadata; locks: KeyedLock; publish: Bus['publish']; now: () => number };

/** Sessions that their owners ended: see `proto/accounts/sessions.ts`. */
export class EndedSessions {
  readonly #deps: EndedSessionsDeps;
  readonly #max: number;

  constructor(deps: EndedSessionsDeps, max = MAX_ENDED_SESSIONS) {
    this.#deps = deps;
    this.#max = max;
  }

  async isEnded(id: string): Promise<boolean> {
    return (await this.#deps.metadata.endedSession(id)) !== undefined;
  }

  async end({ id, until }: Static<typeof endSession.query>): Promise<void> {
    const { metadata, locks, publish } = this.#deps;
    await locks.run('sessions', async () => {
      const obsolete = await this.#obsolete(id);
      await metadata.write([
        ...obsolete.flatMap((one) => drop.endedSession(one)),
        ...put.endedSession(id, { until }),
      ]);
    });
    publish(sessionEnded, byAccount());
  }

  /** Obsolete records, and those that are displaced. */
  async #obsolete(added: string): Promise<string[]> {
    const end = this.#deps.now() - KEPT_MS;
    const others: [id: string, until: number][] = [];
    const obsolete: string[] = [];
    for await (const [id, { until }] of this.#deps.metadata.endedSessions()) {
      if (id === added) continue;
      if (until < end) obsolete.push(id);
      else others.push([id, until]);
    }
    const surplus = others.length + 1 - this.#max;
    if (surplus <= 0) return obsolete;
    const first = others.sort(([, a], [, b]) => a - b).slice(0, surplus);
    return [...obsolete, ...first.map(([id]) => id)];
  }
}
