/** Numbers of the files that LevelDB's repair is given. */
export type Given = {
  logs: number[];
  tables: number[];
  /** Tables with unreadable blocks. */
  damaged: Set<number>;
};

/**
 * The files that LevelDB's repair did not take over, according to the LOG that it writes. The repair continues after
 * errors, even of a full disk, and reports success: only a line of the LOG proves that a log was converted to a table.
 * Pure.
 * @param retained numbers of the tables of the repaired database
 * @returns one sentence per file
 */
export function notTakenOver(log: string, { logs, tables, damaged }: Given, retained: Set<number>): string[] {
  return [
    ...logs.flatMap((number) => prefixed(`${padded(number)}.log`, reasonOfLog(log, number, retained))),
    ...tables.flatMap((number) =>
      prefixed(`${padded(number)}.ldb`, reasonOfTable(log, number, retained, damaged.has(number))),
    ),
  ];
}

const padded = (number: number): string => String(number).padStart(6, '0');

const prefixed = (file: string, reason: string | undefined): string[] =>
  reason === undefined ? [] : [`${file}: ${reason}`];

function reasonOfLog(log: string, number: number, retained: Set<number>): string | undefined {
  const error = new RegExp(
    ` Log #${number}: (?:ignoring conversion error:|dropping \\d+ bytes;) (?!Corruption)(.*)`,
  ).exec(log);
  if (error) return error[1];
  const saved = new RegExp(` Log #${number}: (\\d+) ops saved to Table #(\\d+) OK`).exec(log);
  if (!saved) return 'it was not converted to a table';
  const [, operations, table] = saved.map(Number);
  return operations === 0 || retained.has(table as number) ? undefined : `its table ${table} was dropped`;
}

function reasonOfTable(
  log: string,
  number: number,
  retained: Set<number>,
  isDamaged: boolean,
): string | undefined {
  const [, entries, status = ''] = new RegExp(` Table #${number}: (\\d+) entries (.*)`).exec(log) ?? [];
  if (status.startsWith('IO error')) return status;
  // A table whose blocks are all damaged leaves nothing.
  return retained.has(number) || (isDamaged && entries === '0') ? undefined : 'it was dropped';
}
