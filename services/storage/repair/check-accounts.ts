import { set } from '../metadata/batch-changes.ts';
import { keys, kinds, prefix } from '../metadata/keys.ts';
import type { TokenRecord } from '../metadata/records.ts';
import type { RebuiltRecords } from './rebuilt-records.ts';
import { addLine, type RepairReport } from './repair-report.ts';

/**
 * A layer without tokens admits every client. A layer that may have lost its tokens is closed instead, until it has a
 * token again.
 * @param open the operator states that the layer had no accounts
 */
export async function checkAccounts(
  records: RebuiltRecords,
  open: boolean,
  report: RepairReport,
): Promise<void> {
  const { notes, lost } = report;
  for await (const [name, { scopeMap }] of records.entries<TokenRecord>(prefix(kinds.token))) {
    // Built-in scope maps, which every layer has, start with `_`.
    if (scopeMap.startsWith('_') || (await records.has(keys.scopeMap(scopeMap)))) continue;
    addLine(
      lost,
      `scope map ${scopeMap}: token ${name} has no permissions until it exists ("terrace scope", "terrace token set")`,
    );
  }
  const hasTokens = await records.any(prefix(kinds.token));
  if (!hasTokens && !open) {
    await records.write([set(keys.closed, true)]);
    notes.push(
      'No account was found, and it is unknown whether any existed: all access is refused until a token exists ("terrace token create"). If the layer never had accounts, repair with --open',
    );
  }
  if (hasTokens)
    notes.push(
      'Lost accounts cannot be listed by name: compare "terrace token list" with the accounts that should exist',
    );
  if (!(await records.has(keys.instance))) {
    notes.push(
      'The instance id of this layer is lost: a parent Terrace refuses it until "terrace child deactivate" is run there',
    );
  }
}
