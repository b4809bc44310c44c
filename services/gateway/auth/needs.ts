import type { GatewayAction, RepositoryAction } from '#proto/accounts/scopes.ts';

/**
 * Right that a request needs: an action on the repository or child of its path, a login (`login`), the list of
 * repositories (`catalog`), or nothing.
 */
export type Needs = RepositoryAction | GatewayAction | 'login' | 'catalog' | 'nothing';
