import type { UpOptions } from '../input/options.ts';
import { checks } from './checks.ts';
import { runChecks } from './run-checks.ts';
import { type Subject, subjectOf } from './subject/subject.ts';
import type { Result } from './verdict/check.ts';

/**
 * `terrace doctor`: what of a layer works, and what does not.
 *
 * `subjectOf` (subject/subject.ts) finds the data folder, the layer that runs on it and its configuration. checks.ts
 * lists the checks (verdict/check.ts), one file each: machine/ for the machine, data/ for the data folder, layer/ for
 * this layer and parent/ for the registry above. run-checks.ts runs them at the same time, but for those that need
 * others, each within its time. A check probes and then judges by a pure function, whose findings have their remedy.
 * report-text.ts formats the results. Nothing is changed: the files by which the file system is tried are deleted, also
 * those of a command that was killed, by the next one.
 */

/** Max time of one check, in ms; less if all of them have less. */
const CHECK_MS = 12_000;

export type Report = {
  /** Name of the layer, if the configuration is valid. */
  name?: string;
  data: string;
  layer: 'running' | 'stopped' | 'unknown';
  /** Where the configuration is from. */
  source: string;
  checks: Result[];
  summary: Record<'faults' | 'warnings' | 'ok' | 'notChecked', number>;
  /** In ms. */
  tookMs: number;
};

/**
 * Examines a layer within `totalMs`; checks that have not ended by then are not made.
 * @param only names of the checks to make; others are made only if these need them, and are left out unless they have
 * something to say
 */
export async function examine(
  options: UpOptions,
  {
    totalMs,
    only,
    env = process.env,
  }: { totalMs: number; only?: readonly string[]; env?: NodeJS.ProcessEnv },
): Promise<Report> {
  const startedAt = performance.now();
  const elapsedMs = () => Math.round(performance.now() - startedAt);
  const subject = await subjectOf(options, env, totalMs);
  try {
    const leftMs = Math.max(1_000, totalMs - elapsedMs());
    const limits = { totalMs: leftMs, checkMs: Math.min(CHECK_MS, leftMs) };
    const results = await runChecks(checks, subject, limits, only);
    return { ...reportOf(subject, results, only), tookMs: elapsedMs() };
  } finally {
    await release(subject);
  }
}

/** Pure. */
function reportOf(
  { folder, holder, bus, busFailure, configuration, source }: Subject,
  results: readonly Result[],
  only: readonly string[] | undefined,
): Omit<Report, 'tookMs'> {
  const shown = results.filter(({ check, findings }) => !only || only.includes(check) || findings.length > 0);
  const findings = shown.flatMap((result) => result.findings);
  const count = (state: Result['state']) => shown.filter((result) => result.state === state).length;
  return {
    ...(configuration && { name: configuration.name }),
    data: folder.root,
    layer: bus ? 'running' : (busFailure ?? holder) === undefined ? 'stopped' : 'unknown',
    source,
    checks: shown,
    summary: {
      faults: findings.filter(({ severity }) => severity === 'fault').length,
      warnings: findings.filter(({ severity }) => severity === 'warning').length,
      ok: count('ok'),
      notChecked: count('not checked'),
    },
  };
}

async function release({ bus, facts }: Subject): Promise<void> {
  await facts.http?.[Symbol.asyncDispose]().catch(() => {});
  await bus?.[Symbol.asyncDispose]().catch(() => {});
}
