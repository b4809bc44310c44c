import type { Change } from '../metadata/changes.ts';
import { isValid } from './record-rules.ts';
import type { Records } from './records.ts';
import { type Report, say } from './report.ts';

const BATCH = 1_000;

/** Drops every record that is not as its kind is. */
export async function checkRecords(records: Records, { lost }: Report): Promise<void> {
  let drops: Change[] = [];
  for await (const [key, text] of records.texts()) {
    if (isValid(key, parsed(text))) continue;
    say(lost, `record ${key}: it is not what such a record is like`);
    drops.push({ type: 'del', key });
    if (drops.length < BATCH) continue;
    await records.write(drops);
    drops = [];
  }
  await records.write(drops);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
