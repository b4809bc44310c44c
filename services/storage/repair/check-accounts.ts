import { set } from '../metadata/changes.ts';
import { keys, kinds, prefix } from '../metadata/keys.ts';
import type { TokenRecord } from '../metadata/records.ts';
import type { Records } from './records.ts';
import { type Report, say } from './report.ts';

/**
 * A layer without tokens admits every client. A layer that may have lost its tokens is closed instead, until it has a
 * token again.
 * @param open the operator states that the layer had no accounts
 */
export async function checkAccounts(records: Records, open: boolean, report: Report): Promise<void> {
  const { notes, lost } = report;
  for await (const [name, { scopeMap }] of records.entries<TokenRecord>(prefix(kinds.token))) {
    // Built-in scope maps, which every layer has, start with `_`.
    if (scopeMap.startsWith('_') || (await records.has(keys.scopeMap(scopeMap)))) continue;
    say(
      lost,
      `scope map ${scopeMap}: token ${name} may do nothing until there is one ("terrace scope", "terrace token set")`,
    );
  }
  const hasTokens = await records.any(prefix(kinds.token));
  if (!hasTokens && !open) {
    await records.write([set(keys.closed, true)]);
    notes.push(
      'No account was found, and nobody knows whether there were any: nobody is let in until there is a token (terrace token create). Where there never were any, repair with --open',
    );
  }
  if (hasTokens)
    notes.push(
      'Accounts that are lost can not be told by name: compare "terrace token list" with what should be there',
    );
  if (!(await records.has(keys.instance))) {
    notes.push(
      'Which instance of a child this layer was is lost: a Terrace above refuses it until "terrace child deactivate" frees its place there',
    );
  }
}
