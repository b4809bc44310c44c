import type { Static } from '@sinclair/typebox';
import type { putScopeMap, ScopeMap } from '#proto/accounts/accounts.ts';
import { parseAction, systemScopeMaps } from '#proto/accounts/scopes.ts';
import { Fault } from '#proto/contract/fault.ts';
import { drop, type Metadata, put } from '../metadata/metadata.ts';
import type { ListQuery } from '../metadata/page.ts';
import type { ScopeMapRecord } from '../metadata/records.ts';

/** Max size of a page, in bytes of its actions: a reply must fit into one bus message. */
const MAX_PAGE_BYTES = 400_000;

/** Max tokens, and max scope maps, in a layer (Azure Container Registry: 20,000 of each). */
const MAX_RECORDS = 20_000;

/** Scope maps: what tokens may do. Includes the system scope maps. Callers that change any hold the lock `accounts`. */
export class ScopeMaps {
  readonly #metadata: Metadata;

  constructor(metadata: Metadata) {
    this.#metadata = metadata;
  }

  async get(name: string): Promise<ScopeMap | undefined> {
    if (Object.hasOwn(systemScopeMaps, name)) return systemScopeMap(name);
    const record = await this.#metadata.scopeMap(name);
    return record && scopeMapOf(name, record);
  }

  async show(name: string): Promise<ScopeMap> {
    const scopeMap = await this.get(name);
    if (!scopeMap)
      throw new Fault('account-unknown', `scope map ${name} does not exist: list the scope maps`);
    return scopeMap;
  }

  /** @throws Fault `conflict` */
  async mustHave(name: string): Promise<void> {
    if (await this.get(name)) return;
    throw new Fault('conflict', `scope map ${name} does not exist: create it first, or specify another one`);
  }

  async put({ name, ...query }: Static<typeof putScopeMap.query>): Promise<ScopeMap> {
    mustNotBeSystem(name);
    const actions = actionsOf(query.actions);
    const before = await this.#metadata.scopeMap(name);
    mustNotBeDeclared(name, before);
    if (!before) this.mustHaveRoom();
    const { description = before?.description } = query;
    const record = { actions, ...(description && { description }), ...(before?.own && { own: before.own }) };
    await this.#metadata.write(put.scopeMap(name, record));
    return scopeMapOf(name, record);
  }

  async delete(name: string): Promise<void> {
    mustNotBeSystem(name);
    await this.show(name);
    mustNotBeDeclared(name, await this.#metadata.scopeMap(name));
    const holder = await this.holder(name);
    if (holder) {
      throw new Fault(
        'conflict',
        `scope map ${name} is used by token ${holder}: delete the token, or assign it another scope map`,
      );
    }
    await this.#metadata.write(drop.scopeMap(name));
  }

  async list({ after = '', limit }: ListQuery): Promise<{ scopeMaps: ScopeMap[]; more: boolean }> {
    const scopeMaps: ScopeMap[] = [];
    let bytes = 0;
    for await (const scopeMap of this.#all(after)) {
      bytes += scopeMap.actions.reduce((sum, action) => sum + action.length + 4, 0);
      const isFull = scopeMaps.length === limit || (bytes > MAX_PAGE_BYTES && scopeMaps.length > 0);
      if (isFull) return { scopeMaps, more: true };
      scopeMaps.push(scopeMap);
    }
    return { scopeMaps, more: false };
  }

  /** Name of a token that has the scope map. */
  async holder(scopeMap: string, except?: string): Promise<string | undefined> {
    for await (const [name, record] of this.#metadata.tokens()) {
      if (record.scopeMap === scopeMap && name !== except) return name;
    }
    return undefined;
  }

  mustHaveRoom(): void {
    mustBeBelowMax(this.#metadata.counters.scopeMaps, 'scope maps');
  }

  /** Merges the system scope maps in order: `_` sorts between upper-case and lower-case letters. */
  async *#all(after: string): AsyncGenerator<ScopeMap> {
    const system = Object.keys(systemScopeMaps)
      .filter((name) => name > after)
      .sort();
    for await (const [name, record] of this.#metadata.scopeMaps(after)) {
      while (system[0] !== undefined && system[0] < name) yield systemScopeMap(system.shift() as string);
      yield scopeMapOf(name, record);
    }
    yield* system.map(systemScopeMap);
  }
}

/** @throws Fault `denied` */
export function mustBeBelowMax(count: number, what: string): void {
  if (count < MAX_RECORDS) return;
  throw new Fault('denied', `this layer has ${MAX_RECORDS} ${what}, the maximum: delete unused ones`);
}

/** Actions as they are stored: each once, sorted. @throws Fault `malformed` */
export const actionsOf = (texts: string[]): string[] => [...new Set(texts.map(parseAction))].sort();

function mustNotBeSystem(name: string): void {
  if (!name.startsWith('_')) return;
  throw new Fault('denied', `scope map ${name} can't be changed: choose a name that does not begin with _`);
}

/** @throws Fault `denied` if only the configuration document may change the scope map */
function mustNotBeDeclared(name: string, record: ScopeMapRecord | undefined): void {
  if (!record?.declared) return;
  throw new Fault(
    'denied',
    `scope map ${name} belongs to an account in the configuration document: change it there, or choose another name`,
  );
}

const systemScopeMap = (name: string): ScopeMap => ({
  name,
  actions: systemScopeMaps[name] ?? [],
  system: true,
});

const scopeMapOf = (name: string, { own: _own, ...record }: ScopeMapRecord): ScopeMap => ({
  name,
  ...record,
  system: false,
});
