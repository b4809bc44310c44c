/**
 * What a check of `terrace doctor` is, and what it finds. A check probes first and judges then: the judgement is a pure
 * function of what the probe saw.
 */

export type Severity = 'fault' | 'warning';

/** `what`: one sentence without a full stop; `remedy`: what a person does about it. */
export type Finding = { severity: Severity; what: string; remedy: string };

/** What is wrong, and `about`: the facts for a person; or why nothing could be checked. */
export type Verdict = { about: string; findings?: Finding[] } | { unchecked: string };

export const groups = ['machine', 'data folder', 'layer', 'parent'] as const;
export type Group = (typeof groups)[number];

/** Names are stored in scripts: they stay. */
export type Check<S> = {
  name: string;
  group: Group;
  /** What it checks, for the help and the reference. */
  description: string;
  /** Checks that have to pass first: after a fault in one of them, this one could only repeat it. */
  needs?: readonly string[];
  /** Checks that run first; this one reads their results. */
  after?: readonly string[];
  /** @param results of the checks that ran first @throws any error: nothing could be checked then */
  run(subject: S, signal: AbortSignal, results: Results): Promise<Verdict>;
};

export type CheckState = 'ok' | 'warning' | 'fault' | 'not checked';

export type Result = {
  check: string;
  group: Group;
  state: CheckState;
  /** Facts; of a check that was not made, the reason. */
  about: string;
  findings: Finding[];
  /** In ms. */
  tookMs: number;
};

export type Results = ReadonlyMap<string, Result>;

export const fault = (what: string, remedy: string): Finding => ({ severity: 'fault', what, remedy });
export const warning = (what: string, remedy: string): Finding => ({ severity: 'warning', what, remedy });

/** Whether one of these checks found a fault. */
export const haveFault = (results: Results, names: readonly string[]): boolean =>
  names.some((name) => results.get(name)?.state === 'fault');

/** The state that a list of findings adds up to. */
export const stateOf = (findings: readonly Finding[]): CheckState =>
  findings.some(({ severity }) => severity === 'fault') ? 'fault' : findings.length > 0 ? 'warning' : 'ok';

/** The two halves of a message of the form `cause: remedy`. */
export function causeAndRemedy(message: string): { what: string; remedy: string } {
  const colon = message.indexOf(': ');
  return colon < 0
    ? { what: message, remedy: 'correct it' }
    : { what: message.slice(0, colon), remedy: message.slice(colon + 2) };
}
