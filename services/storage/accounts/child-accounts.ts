import { allowsGateway } from '#proto/accounts/scopes.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { ScopeMaps } from './scope-maps.ts';

/** Which of these children have an account that may report for them; `open`: the layer has no accounts. */
export async function accountsOfChildren(
  metadata: Metadata,
  names: readonly string[],
): Promise<{ names: string[]; open: boolean }> {
  const scopeMaps = new ScopeMaps(metadata);
  const actionsOf = async (scopeMap: string) => (await scopeMaps.get(scopeMap))?.actions ?? [];
  const mayReport = (actions: readonly string[]) => (name: string) =>
    allowsGateway(actions, name, 'message/write');
  const reporting = new Set<string>();
  // Usually it is the token with the name of the child.
  for (const name of names) {
    const token = await metadata.token(name);
    if (token && mayReport(await actionsOf(token.scopeMap))(name)) reporting.add(name);
  }
  const remaining = names.filter((name) => !reporting.has(name));
  const seen = new Set<string>();
  if (remaining.length > 0) {
    for await (const [, { scopeMap }] of metadata.tokens()) {
      if (seen.has(scopeMap)) continue;
      seen.add(scopeMap);
      for (const name of remaining.filter(mayReport(await actionsOf(scopeMap)))) reporting.add(name);
    }
  }
  return { names: names.filter((name) => reporting.has(name)), open: metadata.counters.tokens === 0 };
}
