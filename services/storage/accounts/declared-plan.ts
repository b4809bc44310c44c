import { isDeepStrictEqual } from 'node:util';
import { type Change, drop, put } from '../metadata/changes.ts';
import type { ScopeMapRecord, TokenRecord } from '../metadata/records.ts';

/** From accounts that are declared, and the records that are there, to what is to be changed. Pure. */

/** With the hashes of its passwords: what its secret files hold is known by now. */
export type Wanted = {
  name: string;
  enabled: boolean;
  scopeMap?: string;
  actions?: string[];
  passwords: TokenRecord['passwords'];
};

export type There = {
  tokens: ReadonlyMap<string, TokenRecord>;
  /** Of those that are declared, or of the name of a wanted account. */
  scopeMaps: ReadonlyMap<string, ScopeMapRecord>;
  /** Is there such a scope map, those of every layer among them? */
  hasScopeMap: (name: string) => boolean;
};

/** Each complaint is about an account that stays as it is. */
export type Plan = { changes: Change[]; complaints: string[]; made: number };

export function planDeclared(wanted: Wanted[], there: There, now: number): Plan {
  const complaints: string[] = [];
  const tokens = new Map<string, TokenRecord>();
  const scopeMaps = new Map<string, ScopeMapRecord>();
  for (const one of wanted) {
    const why = whyNot(one, there);
    if (why) complaints.push(why);
    const before = there.tokens.get(one.name);
    if (why && before?.declared) keep(one.name, before, there, tokens, scopeMaps);
    if (why) continue;
    tokens.set(one.name, recordOf(one, before, now));
    if (one.actions) scopeMaps.set(one.name, { actions: one.actions, own: true, declared: true });
  }
  const changes = [
    ...changed(tokens, there.tokens, put.token),
    ...changed(scopeMaps, there.scopeMaps, put.scopeMap),
    ...gone(tokens, there.tokens).flatMap(drop.token),
    ...gone(scopeMaps, there.scopeMaps).flatMap((name) => withoutToken(name, there, tokens)),
  ];
  const made = [...tokens.keys()].filter((name) => !there.tokens.has(name)).length;
  return { changes, complaints, made };
}

function whyNot({ name, scopeMap, actions }: Wanted, there: There): string | undefined {
  const token = there.tokens.get(name);
  if (token && !token.declared) {
    return `${name} is declared, and there is a token of that name that was made here: delete that one ("terrace token delete ${name}"), or declare another name`;
  }
  const own = there.scopeMaps.get(name);
  if (actions && own && !own.declared) {
    return `${name} is declared, and there is a scope map of that name that was made here: delete that one ("terrace scope delete ${name}"), or declare another name`;
  }
  if (scopeMap !== undefined && !there.hasScopeMap(scopeMap)) {
    return `${name} is declared with scope map ${scopeMap}, which is not there: make it ("terrace scope create ${scopeMap}"), or declare pull, push or actions`;
  }
  return undefined;
}

function keep(
  name: string,
  before: TokenRecord,
  there: There,
  tokens: Map<string, TokenRecord>,
  scopeMaps: Map<string, ScopeMapRecord>,
): void {
  tokens.set(name, before);
  const own = there.scopeMaps.get(name);
  if (own?.declared) scopeMaps.set(name, own);
}

function recordOf(wanted: Wanted, before: TokenRecord | undefined, now: number): TokenRecord {
  const { name, enabled, scopeMap = name, passwords } = wanted;
  return { enabled, scopeMap, created: before?.created ?? now, passwords, declared: true };
}

function changed<R>(
  wanted: ReadonlyMap<string, R>,
  there: ReadonlyMap<string, R>,
  write: (name: string, record: R) => Change[],
): Change[] {
  return [...wanted].flatMap(([name, record]) =>
    isDeepStrictEqual(record, there.get(name)) ? [] : write(name, record),
  );
}

/** Those that were declared, and are not any more. */
const gone = (wanted: ReadonlyMap<string, unknown>, there: ReadonlyMap<string, { declared?: true }>) =>
  [...there].filter(([name, { declared }]) => declared && !wanted.has(name)).map(([name]) => name);

/** A scope map that an operator's token has as well stays, and is theirs from now on. */
function withoutToken(name: string, { tokens, scopeMaps }: There, wanted: ReadonlyMap<string, TokenRecord>) {
  const mine = ([its, { declared }]: [string, TokenRecord]) => !declared && !wanted.has(its);
  const held = [...tokens].filter(mine).some(([, { scopeMap }]) => scopeMap === name);
  const shared = held || [...wanted.values()].some(({ scopeMap }) => scopeMap === name);
  const { own: _own, declared: _declared, ...rest } = scopeMaps.get(name) as ScopeMapRecord;
  return shared ? put.scopeMap(name, rest) : drop.scopeMap(name);
}
