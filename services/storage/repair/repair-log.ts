/** What LevelDB's repair is given: numbers of files. */
export type Given = {
  logs: number[];
  tables: number[];
  /** Tables that have blocks that can not be read. */
  damaged: Set<number>;
};

/**
 * What LevelDB's repair did not take over of what it was given, by the LOG that it writes. It goes on after errors, of a
 * full disk as well, and ends as if all were well: only a line that says so proves that a log is a table now. Pure.
 * @param kept numbers of the tables of the repaired database
 * @returns one sentence for each file
 */
export function notTakenOver(log: string, { logs, tables, damaged }: Given, kept: Set<number>): string[] {
  return [
    ...logs.flatMap((number) => prefixed(`${named(number)}.log`, reasonOfLog(log, number, kept))),
    ...tables.flatMap((number) =>
      prefixed(`${named(number)}.ldb`, reasonOfTable(log, number, kept, damaged.has(number))),
    ),
  ];
}

const named = (number: number): string => String(number).padStart(6, '0');

const prefixed = (file: string, reason: string | undefined): string[] =>
  reason === undefined ? [] : [`${file}: ${reason}`];

function reasonOfLog(log: string, number: number, kept: Set<number>): string | undefined {
  const error = new RegExp(
    ` Log #${number}: (?:ignoring conversion error:|dropping \\d+ bytes;) (?!Corruption)(.*)`,
  ).exec(log);
  if (error) return error[1];
  const saved = new RegExp(` Log #${number}: (\\d+) ops saved to Table #(\\d+) OK`).exec(log);
  if (!saved) return 'no table was made of it';
  const [, operations, table] = saved.map(Number);
  return operations === 0 || kept.has(table as number) ? undefined : `its table ${table} was dropped`;
}

function reasonOfTable(
  log: string,
  number: number,
  kept: Set<number>,
  isDamaged: boolean,
): string | undefined {
  const [, entries, status = ''] = new RegExp(` Table #${number}: (\\d+) entries (.*)`).exec(log) ?? [];
  if (status.startsWith('IO error')) return status;
  // Nothing is left of a table all of whose blocks are damaged.
  return kept.has(number) || (isDamaged && entries === '0') ? undefined : 'it was dropped';
}
