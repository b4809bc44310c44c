import { isDeepStrictEqual } from 'node:util';
import { type Change, drop, put } from '../metadata/batch-changes.ts';
import type { ScopeMapRecord, TokenRecord } from '../metadata/records.ts';

/** From declared accounts and existing records to the changes that make them match. Pure. */

/** A declared account. Its secret files have been read: all passwords are hashes. */
export type WantedAccount = {
  name: string;
  enabled: boolean;
  scopeMap?: string;
  actions?: string[];
  passwords: TokenRecord['passwords'];
};

/** The existing records. */
export type ExistingAccounts = {
  tokens: ReadonlyMap<string, TokenRecord>;
  /** Declared ones, and those with the name of a wanted account. */
  scopeMaps: ReadonlyMap<string, ScopeMapRecord>;
  /** Whether the scope map exists; includes the system scope maps. */
  hasScopeMap: (name: string) => boolean;
};

/** Each complaint is about an account that is left unchanged. */
export type Plan = { changes: Change[]; complaints: string[]; newTokens: number };

export function planDeclared(wanted: WantedAccount[], existing: ExistingAccounts, now: number): Plan {
  const complaints: string[] = [];
  const tokens = new Map<string, TokenRecord>();
  const scopeMaps = new Map<string, ScopeMapRecord>();
  for (const one of wanted) {
    const complaint = complaintAbout(one, existing);
    if (complaint) complaints.push(complaint);
    const before = existing.tokens.get(one.name);
    if (complaint && before?.declared) retain(one.name, before, existing, tokens, scopeMaps);
    if (complaint) continue;
    tokens.set(one.name, recordOf(one, before, now));
    if (one.actions) scopeMaps.set(one.name, { actions: one.actions, own: true, declared: true });
  }
  const changes = [
    ...changed(tokens, existing.tokens, put.token),
    ...changed(scopeMaps, existing.scopeMaps, put.scopeMap),
    ...undeclared(tokens, existing.tokens).flatMap(drop.token),
    ...undeclared(scopeMaps, existing.scopeMaps).flatMap((name) => withoutToken(name, existing, tokens)),
  ];
  const newTokens = [...tokens.keys()].filter((name) => !existing.tokens.has(name)).length;
  return { changes, complaints, newTokens };
}

function complaintAbout(
  { name, scopeMap, actions }: WantedAccount,
  existing: ExistingAccounts,
): string | undefined {
  const token = existing.tokens.get(name);
  if (token && !token.declared) {
    return `${name} is declared, but an undeclared token of that name exists: delete it ("terrace token delete ${name}"), or declare another name`;
  }
  const sameName = existing.scopeMaps.get(name);
  if (actions && sameName && !sameName.declared) {
    return `${name} is declared, but an undeclared scope map of that name exists: delete it ("terrace scope delete ${name}"), or declare another name`;
  }
  if (scopeMap !== undefined && !existing.hasScopeMap(scopeMap)) {
    return `${name} is declared with scope map ${scopeMap}, which does not exist: create it ("terrace scope create ${scopeMap}"), or declare pull, push or actions`;
  }
  return undefined;
}

function retain(
  name: string,
  before: TokenRecord,
  existing: ExistingAccounts,
  tokens: Map<string, TokenRecord>,
  scopeMaps: Map<string, ScopeMapRecord>,
): void {
  tokens.set(name, before);
  const sameName = existing.scopeMaps.get(name);
  if (sameName?.declared) scopeMaps.set(name, sameName);
}

function recordOf(wanted: WantedAccount, before: TokenRecord | undefined, now: number): TokenRecord {
  const { name, enabled, scopeMap = name, passwords } = wanted;
  return { enabled, scopeMap, created: before?.created ?? now, passwords, declared: true };
}

function changed<R>(
  wanted: ReadonlyMap<string, R>,
  existing: ReadonlyMap<string, R>,
  write: (name: string, record: R) => Change[],
): Change[] {
  return [...wanted].flatMap(([name, record]) =>
    isDeepStrictEqual(record, existing.get(name)) ? [] : write(name, record),
  );
}

/** Names that were declared and no longer are. */
const undeclared = (
  wanted: ReadonlyMap<string, unknown>,
  existing: ReadonlyMap<string, { declared?: true }>,
) => [...existing].filter(([name, { declared }]) => declared && !wanted.has(name)).map(([name]) => name);

/** A scope map that another token also uses is retained, and is the operator's from now on. */
function withoutToken(
  name: string,
  { tokens, scopeMaps }: ExistingAccounts,
  wanted: ReadonlyMap<string, TokenRecord>,
) {
  const isOperators = ([token, { declared }]: [string, TokenRecord]) => !declared && !wanted.has(token);
  const isUsed = [...tokens].filter(isOperators).some(([, { scopeMap }]) => scopeMap === name);
  const isShared = isUsed || [...wanted.values()].some(({ scopeMap }) => scopeMap === name);
  const { own: _own, declared: _declared, ...rest } = scopeMaps.get(name) as ScopeMapRecord;
  return isShared ? put.scopeMap(name, rest) : drop.scopeMap(name);
}
