/** What an update as a delta is doing. */
export const PHASES = ['making', 'transfer', 'applying'] as const;
export type Phase = (typeof PHASES)[number];

/** A process to be killed: of which side, and its program. */
export type Victim = { side: string; program: string };

/** Time between two kills, in ms: short where a phase is. */
const INTERVAL_MS: Record<Phase, { min: number; max: number }> = {
  making: { min: 300, max: 4_000 },
  transfer: { min: 300, max: 6_000 },
  applying: { min: 0, max: 1_000 },
};
/** Max kills in a phase of one update, which could not end otherwise. */
const MAX_KILLS: Record<Phase, number> = { making: 4, transfer: 10, applying: 3 };

/** Draws which process is killed next, and when: in each phase each one of them in turn, in random order. */
export class KillPlan {
  readonly kills: (Victim & { phase: Phase })[] = [];
  readonly #victims: readonly Victim[];
  /** What is left of the turn of each phase. */
  readonly #turns: Record<Phase, Victim[]> = { making: [], transfer: [], applying: [] };
  #left = { ...MAX_KILLS };

  constructor(victims: readonly Victim[]) {
    this.#victims = victims;
  }

  /** Another update begins. */
  begin(): void {
    this.#left = { ...MAX_KILLS };
  }

  /** @returns undefined if there are no more in this phase of the update */
  next(phase: Phase): (Victim & { delayMs: number }) | undefined {
    if (this.#left[phase] === 0) return undefined;
    this.#left[phase] -= 1;
    if (this.#turns[phase].length === 0) this.#turns[phase] = shuffled(this.#victims);
    const { min, max } = INTERVAL_MS[phase];
    return { ...(this.#turns[phase].shift() as Victim), delayMs: min + Math.random() * (max - min) };
  }

  killed({ side, program }: Victim, phase: Phase): void {
    this.kills.push({ side, program, phase });
  }

  /** One line for each phase: `making: 3 kills (top: gateway, storage; bottom: syncer-1)`. */
  lines(): string[] {
    return PHASES.map((phase) => {
      const own = this.kills.filter((kill) => kill.phase === phase);
      const sides = Object.entries(Object.groupBy(own, ({ side }) => side)).map(
        ([side, kills = []]) => `${side}: ${countsOf(kills)}`,
      );
      return `${phase}: ${own.length} kills${sides.length > 0 ? ` (${sides.join('; ')})` : ''}`;
    });
  }
}

const countsOf = (kills: readonly Victim[]): string =>
  Object.entries(Object.groupBy(kills, ({ program }) => program))
    .map(([program, own = []]) => `${own.length} ${program}`)
    .join(', ');

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
