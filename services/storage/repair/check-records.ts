import type { Change } from '../metadata/batch-changes.ts';
import type { RebuiltRecords } from './rebuilt-records.ts';
import { isValid } from './record-rules.ts';
import { addLine, type RepairReport } from './repair-report.ts';

/** Max deletions per batch. */
const MAX_BATCH = 1_000;

/** Deletes every record that violates the rule of its kind. */
export async function checkRecords(records: RebuiltRecords, { lost }: RepairReport): Promise<void> {
  let deletions: Change[] = [];
  for await (const [key, text] of records.texts()) {
    if (isValid(key, parsed(text))) continue;
    addLine(lost, `record ${key}: invalid`);
    deletions.push({ type: 'del', key });
    if (deletions.length < MAX_BATCH) continue;
    await records.write(deletions);
    deletions = [];
  }
  await records.write(deletions);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
