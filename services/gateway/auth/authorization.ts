import { type GatewayAction, type RepositoryAction, ruleOf } from '#proto/accounts/scopes.ts';

/** Scope actions, so ordered that a look-up costs as many steps as a repository's name has parts. */
export class Rules {
  readonly #byPattern = new Map<string, Set<RepositoryAction>>();
  readonly #ofChildren = new Set<string>();
  /** All of them in one text: the same for the same rules. */
  readonly text: string;

  /** @param actions as `scopeAction` gives them; those that speak of something else count for nothing here */
  constructor(actions: Iterable<string>) {
    const all = [...actions];
    this.text = all.toSorted().join('\n');
    for (const text of all) {
      if (text.startsWith('gateway/')) this.#ofChildren.add(text);
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
    return this.#ofChildren.has(`gateway/${child}/${action}`);
  }

  /** Is anything allowed on it? Whoever may do nothing with a repository does not see that it is there. */
  touches(repository: string): boolean {
    return this.#some(repository, () => true);
  }

  #some(repository: string, fits: (actions: Set<RepositoryAction>) => boolean): boolean {
    const at = (pattern: string) => {
      const actions = this.#byPattern.get(pattern);
      return actions !== undefined && fits(actions);
    };
    if (at('*') || at(repository)) return true;
    for (let slash = repository.indexOf('/'); slash > 0; slash = repository.indexOf('/', slash + 1)) {
      if (at(`${repository.slice(0, slash)}/*`)) return true;
    }
    return false;
  }
}

/** What a Bearer token was given, whatever its account may do now. */
export type Grant = { rules: Rules; catalog: boolean };

/** Who asks. */
export type Identity = {
  /** Of the token; empty for whoever named none. */
  name: string;
  /** Credentials, or other ones, could change the answer. */
  anonymous: boolean;
  /** What the account may do now, and everybody. */
  rules: Rules;
  /** Absent where the account itself asks: it may do all that it may. */
  grant?: Grant;
  /** Of the password that it came in with. */
  print?: string;
};

export type Need = { repository: string; action: RepositoryAction };

/**
 * `challenge`: other credentials, or a token with a wider grant, are asked for (401). `deny`: the account may not do
 * this (403). `hide`: it may do nothing here, and is told what it would be told if there were no such repository (404).
 */
export type Verdict = 'allow' | 'challenge' | 'deny' | 'hide';

/** May it be done in a repository? The only rule. */
export function decide(
  grant: Rules | undefined,
  account: Pick<Identity, 'anonymous' | 'rules'>,
  need: Need,
): Verdict {
  const { repository, action } = need;
  if (account.rules.allows(repository, action)) {
    return grant === undefined || grant.allows(repository, action) ? 'allow' : 'challenge';
  }
  if (account.anonymous) return 'challenge';
  // A write says nothing of what is there: it is denied in either case.
  return action.endsWith('/write') || account.rules.touches(repository) ? 'deny' : 'hide';
}

/**
 * The same for a child. Only whoever was named as that child may act as it: while there are no accounts, nobody. What is
 * refused says nothing of the children that there are.
 */
export function decideGateway(
  grant: Rules | undefined,
  account: Pick<Identity, 'anonymous' | 'rules'>,
  { child, action }: { child: string; action: GatewayAction },
): Verdict {
  if (account.rules.allowsGateway(child, action)) {
    return grant === undefined || grant.allowsGateway(child, action) ? 'allow' : 'challenge';
  }
  return account.anonymous ? 'challenge' : 'deny';
}
