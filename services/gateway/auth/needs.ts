import type { GatewayAction, RepositoryAction } from '#proto/accounts/scopes.ts';

/**
 * What a request needs: an action on the repository of its path, or on the child of its path, to be let in (`login`),
 * to see the list of repositories (`catalog`), or nothing.
 */
export type Needs = RepositoryAction | GatewayAction | 'login' | 'catalog' | 'nothing';
