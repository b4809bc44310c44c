import { allowsGateway } from '#proto/accounts/scopes.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { ScopeMaps } from './scope-maps.ts';

/** Which of these children have an account that may report for them; `open`: there is no account at all. */
export async function childAccounts(
  metadata: Metadata,
  names: readonly string[],
): Promise<{ names: string[]; open: boolean }> {
  const scopeMaps = new ScopeMaps(metadata);
  const actionsOf = async (scopeMap: string) => (await scopeMaps.get(scopeMap))?.actions ?? [];
  const mayReport = (actions: readonly string[]) => (name: string) =>
    allowsGateway(actions, name, 'message/write');
  const found = new Set<string>();
  // Nearly always it is the token of its own name.
  for (const name of names) {
    const token = await metadata.token(name);
    if (token && mayReport(await actionsOf(token.scopeMap))(name)) found.add(name);
  }
  const left = names.filter((name) => !found.has(name));
  const known = new Set<string>();
  if (left.length > 0) {
    for await (const [, { scopeMap }] of metadata.tokens()) {
      if (known.has(scopeMap)) continue;
      known.add(scopeMap);
      for (const name of left.filter(mayReport(await actionsOf(scopeMap)))) found.add(name);
    }
  }
  return { names: names.filter((name) => found.has(name)), open: metadata.counters.tokens === 0 };
}
