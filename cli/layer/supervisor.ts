import type { ChildProcess } from 'node:child_process';
import { backoffMs } from '#proto/async/backoff.ts';
import { within } from '#proto/async/within.ts';
import { formatSeconds } from '#proto/contract/quantity-text.ts';
import { processorMsOf } from '#proto/process/cpu-time.ts';
import { LOOP_LIMITS, LOOP_TURNS, type LoopLimits, StuckLoop } from '#proto/process/stuck-loop.ts';
import { EXIT_UNUSABLE, isUnrecoverable, stopMsOf } from '#proto/process/supervision.ts';
import { Refusal } from '../terminal/refusal.ts';

export type Program = {
  name: string;
  /** Lower ranks are stopped first; programs of one rank are stopped together. */
  rank: number;
  /** It is first started once this has resolved. */
  after?: Promise<unknown> | undefined;
  spawn(): ChildProcess;
};

export type SupervisorNotice = {
  program: string;
  pid?: number | undefined;
  level: 'info' | 'warn';
  message: string;
};

/** Backoff between restarts. */
const RESTART = { firstMs: 200, maxMs: 15_000 };
/** A program that ran for this time is stable, in ms: its next failure counts as the first. */
const STABLE_MS = 30_000;

/** Time between the limit at which a process ends itself and the kill, in ms. */
const STOP_MARGIN_MS = 500;

/**
 * Keeps programs running: one that ends is restarted after a backoff that grows with each failure in a row. One that
 * sends heartbeats of its event loop is killed when the loop is stuck.
 */
export class Supervisor {
  readonly #keepers: Keeper[] = [];
  readonly #notice: (notice: SupervisorNotice) => void;
  readonly #loop: LoopLimits;
  /** Max time of a stop, in ms, from the first signal to the last kill. */
  readonly #stopMs: number;
  #stopping: Promise<void> | undefined;
  readonly #unrecoverable = Promise.withResolvers<never>();

  constructor(
    notice: (notice: SupervisorNotice) => void,
    loop = LOOP_LIMITS,
    stopMs = stopMsOf(process.env) + STOP_MARGIN_MS,
  ) {
    this.#notice = notice;
    this.#loop = loop;
    this.#stopMs = stopMs;
    this.#unrecoverable.promise.catch(() => {});
  }

  /**
   * Rejects with a Refusal when a program ends with `EXIT_UNUSABLE`: it would end so each time and is not restarted.
   */
  get unrecoverable(): Promise<never> {
    return this.#unrecoverable.promise;
  }

  add(program: Program): void {
    const keeper = new Keeper(program, this.#notice, this.#loop, this.#unrecoverable.reject);
    this.#keepers.push(keeper);
    if (program.after) void program.after.then(() => keeper.start());
    else keeper.start();
  }

  /** Names of all programs, those too that do not run now. */
  names(): string[] {
    return this.#keepers.map(({ program }) => program.name);
  }

  /** Pids of the running programs, by name. */
  pids(): Record<string, number> {
    const running = this.#keepers.filter(({ pid }) => pid !== undefined);
    return Object.fromEntries(running.map(({ program, pid }) => [program.name, pid as number]));
  }

  /** Stops rank after rank with SIGTERM, each with its share of the time, and kills what still runs at the end. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    for (const keeper of this.#keepers) keeper.giveUp();
    const ranks = [...new Set(this.#keepers.map(({ program }) => program.rank))].sort((a, b) => a - b);
    const end = performance.now() + this.#stopMs;
    for (const [index, rank] of ranks.entries()) {
      const members = this.#keepers.filter(({ program }) => program.rank === rank);
      for (const member of members) member.signal('SIGTERM');
      const share = Math.max(0, (end - performance.now()) / (ranks.length - index));
      await within(Promise.all(members.map((member) => member.ended())), share);
    }
    const isRunning = ({ pid }: Keeper) => pid !== undefined;
    // What later ranks leave of their time is for those that have not ended.
    const late = this.#keepers.filter(isRunning);
    await within(Promise.all(late.map((keeper) => keeper.ended())), end - performance.now());
    const left = late.filter(isRunning);
    for (const keeper of left) {
      this.#notice({
        program: keeper.program.name,
        pid: keeper.pid,
        level: 'warn',
        message: 'did not stop in time; killed',
      });
      keeper.signal('SIGKILL');
    }
    await Promise.all(left.map((keeper) => keeper.ended()));
  }
}

class Keeper {
  readonly program: Program;
  readonly #notice: (notice: SupervisorNotice) => void;
  #child: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #wanted = true;
  #waiting: (() => void)[] = [];
  readonly #loop: LoopLimits;
  readonly #giveUp: (refusal: Refusal) => void;

  constructor(
    program: Program,
    notice: (notice: SupervisorNotice) => void,
    loop: LoopLimits,
    giveUp: (refusal: Refusal) => void,
  ) {
    this.program = program;
    this.#notice = notice;
    this.#loop = loop;
    this.#giveUp = giveUp;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  start(): void {
    if (!this.#wanted) return;
    const started = performance.now();
    const child = this.program.spawn();
    this.#child = child;
    let hasEnded = false;
    let reason: string | undefined;
    child.on('message', (message) => {
      if (isUnrecoverable(message)) reason = message.unrecoverable.message;
    });
    const watch = watchLoop(child, this.#loop);
    const end = (why: string, code?: number | null) => {
      if (hasEnded) return;
      hasEnded = true;
      watch.end();
      this.#child = undefined;
      for (const resolve of this.#waiting.splice(0)) resolve();
      if (!this.#wanted) return;
      if (code === EXIT_UNUSABLE) return this.#fail(child.pid, why, reason);
      const { stuckMs } = watch;
      // Its cause may persist: a stuck loop is a failure in a row, however long the program ran.
      const ranMs = stuckMs === undefined ? performance.now() - started : 0;
      const cause =
        stuckMs === undefined ? why : `killed: event loop stuck for ${Math.round(stuckMs / 1_000)} s`;
      this.#restart(child.pid, cause, ranMs);
    };
    child.on('exit', (code, signal) => end(signal ? `ended by ${signal}` : `exited with code ${code}`, code));
    child.on('error', (error) => {
      if (child.pid === undefined) end(`could not start: ${error.message}`);
    });
  }

  #restart(pid: number | undefined, why: string, ranMs: number): void {
    this.#failures = ranMs >= STABLE_MS ? 1 : this.#failures + 1;
    const delay = Math.round(backoffMs(this.#failures, RESTART));
    const message = `${why}; restarting in ${formatSeconds(delay)}`;
    this.#notice({ program: this.program.name, pid, level: 'warn', message });
    this.#timer = setTimeout(() => this.start(), delay);
  }

  #fail(pid: number | undefined, why: string, reason: string | undefined): void {
    const { name } = this.program;
    this.#notice({ program: name, pid, level: 'warn', message: `${why}; not restarted` });
    this.#giveUp(new Refusal(reason ?? `${name} ${why}: see its log`, EXIT_UNUSABLE));
  }

  giveUp(): void {
    this.#wanted = false;
    clearTimeout(this.#timer);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  ended(): Promise<void> {
    if (!this.#child) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** Kills a program whose event loop is stuck. */
function watchLoop(
  child: ChildProcess,
  limits: LoopLimits,
): { end(): void; readonly stuckMs: number | undefined } {
  const loop = new StuckLoop(limits);
  let turns = 0;
  let stuckMs: number | undefined;
  child.on('message', (message) => {
    if (message === LOOP_TURNS) turns += 1;
  });
  const timer = setInterval(() => {
    if (child.pid === undefined || stuckMs !== undefined) return;
    stuckMs = loop.poll(turns, processorMsOf(child.pid));
    if (stuckMs !== undefined) child.kill('SIGKILL');
  }, limits.everyMs).unref();
  return {
    end: () => clearInterval(timer),
    get stuckMs() {
      return stuckMs;
    },
  };
}
