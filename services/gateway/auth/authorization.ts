import {
  type GatewayAction,
  isOperateAction,
  type OperateAction,
  type RepositoryAction,
  ruleOf,
  systemScopeMaps,
} from '#proto/accounts/scopes.ts';

import type { Session } from './sessions.ts';

/** Scope actions by pattern: a lookup costs as many steps as the repository name has segments. */
export class AccessRules {
  readonly #byPattern = new Map<string, Set<RepositoryAction>>();
  readonly #gatewayActions = new Set<string>();
  readonly #operateActions = new Set<OperateAction>();
  /** All actions as one sorted text: equal for equal rules. */
  readonly text: string;

  /** @param actions in the form that `parseAction` returns; actions on anything else are ignored */
  constructor(actions: Iterable<string>) {
    const all = [...actions];
    this.text = all.toSorted().join('\n');
    for (const text of all) {
      if (text.startsWith('gateway/')) this.#gatewayActions.add(text);
      if (isOperateAction(text)) this.#operateActions.add(text);
      const rule = ruleOf(text);
      if (!rule) continue;
      const known = this.#byPattern.get(rule.pattern);
      if (known) known.add(rule.action);
      else this.#byPattern.set(rule.pattern, new Set([rule.action]));
    }
  }

  allows(repository: string, action: RepositoryAction): boolean {
    return this.#some(repository, (actions) => actions.has(action));
  }

  allowsGateway(child: string, action: GatewayAction): boolean {
    return this.#gatewayActions.has(`gateway/${child}/${action}`);
  }

  allowsOperate(action: OperateAction): boolean {
    return this.#operateActions.has(action);
  }

  /** Whether any action on it is allowed. An account without any must not learn that the repository exists. */
  touches(repository: string): boolean {
    return this.#some(repository, () => true);
  }

  #some(repository: string, fits: (actions: Set<RepositoryAction>) => boolean): boolean {
    const matches = (pattern: string) => {
      const actions = this.#byPattern.get(pattern);
      return actions !== undefined && fits(actions);
    };
    if (matches('*') || matches(repository)) return true;
    for (let slash = repository.indexOf('/'); slash > 0; slash = repository.indexOf('/', slash + 1)) {
      if (matches(`${repository.slice(0, slash)}/*`)) return true;
    }
    return false;
  }
}

/** Rights of a Bearer token, independent of the rights of its account now. */
export type Grant = { rules: AccessRules; catalog: boolean };

/** What an account may do now. */
export type AccountRights = {
  /** Credentials, or different ones, could change the answer. */
  anonymous: boolean;
  /** Rights of the account, including those of every caller. */
  rules: AccessRules;
};

/** Identity of a caller. */
export type CallerIdentity = AccountRights & {
  /** Name of the token; empty if the request names none. */
  name: string;
  /** Absent if the account itself logged in: all its rights apply. */
  grant?: Grant;
  /** Fingerprint of the password used. */
  fingerprint?: string;
  /** Set if a session cookie is the login. */
  session?: Session;
};

/** Identity of every caller while the layer has no accounts. What it may do as an operator: `decideOperate`. */
export const UNRESTRICTED: CallerIdentity = {
  name: '',
  anonymous: false,
  rules: new AccessRules(systemScopeMaps._repositories_admin ?? []),
};

export type Need = { repository: string; action: RepositoryAction };

/**
 * `challenge`: request other credentials, or a token with a wider grant (401). `deny`: the account may not do this
 * (403). `hide`: the account has no rights here and gets the answer for a repository that does not exist (404).
 */
export type AccessVerdict = 'allow' | 'challenge' | 'deny' | 'hide';

/** Decides whether an action in a repository is allowed: the only rule for it. */
export function decide(grant: AccessRules | undefined, account: AccountRights, need: Need): AccessVerdict {
  const { repository, action } = need;
  if (account.rules.allows(repository, action)) {
    return grant === undefined || grant.allows(repository, action) ? 'allow' : 'challenge';
  }
  if (account.anonymous) return 'challenge';
  // A refused write reveals nothing about what exists: it is denied in either case.
  return action.endsWith('/write') || account.rules.touches(repository) ? 'deny' : 'hide';
}

/**
 * Decides the same for a child. Only an account with rights for that child may act as it; without accounts, nobody may.
 * A refusal does not reveal which children exist.
 */
export function decideGateway(
  grant: AccessRules | undefined,
  account: AccountRights,
  { child, action }: { child: string; action: GatewayAction },
): AccessVerdict {
  if (account.rules.allowsGateway(child, action)) {
    return grant === undefined || grant.allowsGateway(child, action) ? 'allow' : 'challenge';
  }
  return account.anonymous ? 'challenge' : 'deny';
}

/**
 * Decides the same for the layer as such. Only an account may operate a layer that other machines reach: without
 * accounts, `openOperate` says whether everyone may.
 */
export function decideOperate(
  grant: AccessRules | undefined,
  account: AccountRights,
  { action, openOperate }: { action: OperateAction; openOperate: boolean },
): AccessVerdict {
  if (account === UNRESTRICTED) return openOperate ? 'allow' : 'deny';
  if (account.rules.allowsOperate(action)) {
    return grant === undefined || grant.allowsOperate(action) ? 'allow' : 'challenge';
  }
  return account.anonymous ? 'challenge' : 'deny';
}
