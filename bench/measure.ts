import { performance } from 'node:perf_hooks';

/** One comparison: the same work done by several contenders, measured round by round in turn. */
export type Comparison = {
  subject: string;
  unit: string;
  better: 'more' | 'less';
  /** All rounds, by contender; Terrace's come first. */
  values: Record<string, number[]>;
  /** Whether ratios of Terrace to each of the others are shown. Default: true. */
  ratios?: boolean;
  notes?: string[];
};

export type Contender = { name: string; run: (round: number) => Promise<number> };

/** `mib`: sizes of the blobs that are pulled and pushed. */
export type Options = { rounds: number; mib: number[]; full: boolean; progress: (line: string) => void };

/** Measures one subject. */
export type Subject = (options: Options) => Promise<Comparison[]>;

/** Number of rounds with a blob of this size, in MiB: fewer for a very large one, which takes longer. */
export const roundsFor = (mib: number, { rounds }: Options): number =>
  mib > 256 ? Math.min(3, rounds) : rounds;

/** Runs the contenders in turn. Each round begins with another one, so that none always runs on a warm machine. */
export async function alternate(
  { rounds, progress }: Options,
  subject: string,
  contenders: Contender[],
): Promise<Record<string, number[]>> {
  const values = Object.fromEntries(contenders.map(({ name }) => [name, [] as number[]]));
  for (let round = 0; round < rounds; round += 1) {
    progress(`${subject}: round ${round + 1} of ${rounds}`);
    for (let turn = 0; turn < contenders.length; turn += 1) {
      const { name, run } = contenders[(turn + round) % contenders.length]!;
      values[name]!.push(await run(round));
    }
  }
  return values;
}

/** @returns seconds */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1_000;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 ? sorted[Math.floor(middle)]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * Formats a table: medians with min and max, and the ratio of each contender of Terrace to each of the others.
 */
export function format({ subject, unit, better, values, ratios = true, notes = [] }: Comparison): string {
  const contenders = Object.entries(values);
  const terrace = contenders.filter(([contender]) => contender.startsWith('terrace'));
  const name = Math.max(...Object.keys(values).map((key) => key.length));
  const line = ([contender, rounds]: [string, number[]], ratio = '') => {
    const middle = number(median(rounds));
    const spread = rounds.length > 1 ? `${number(Math.min(...rounds))} … ${number(Math.max(...rounds))}` : '';
    return `  ${contender.padEnd(name)}  ${middle.padStart(8)} ${unit.padEnd(6)} ${spread.padEnd(20)} ${ratio}`.trimEnd();
  };
  const lines = contenders.map((each) =>
    line(
      each,
      ratios && !terrace.includes(each) ? terrace.map((one) => ratio(one, each[1], better)).join(', ') : '',
    ),
  );
  return [`${subject} (${better} is better)`, ...lines, ...notes.map((note) => `  ${note}`)].join('\n');
}

function ratio([name, values]: [string, number[]], others: number[], better: 'more' | 'less'): string {
  const [a, b] = better === 'more' ? [median(values), median(others)] : [median(others), median(values)];
  return `${name} ${(a / b).toFixed(2)} ×`;
}

const number = (value: number) =>
  !Number.isFinite(value)
    ? 'stopped'
    : value < 10
      ? value.toFixed(2)
      : value < 100
        ? value.toFixed(1)
        : value.toFixed(0);
