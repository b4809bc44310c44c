import type { GatewayAction, OperateAction, RepositoryAction } from '#proto/accounts/scopes.ts';

/**
 * Right that a request needs: an action on the repository or child of its path, one of an operator on the layer, a
 * login (`login`), the list of repositories (`catalog`), or nothing.
 */
export type Needs = RepositoryAction | GatewayAction | OperateAction | 'login' | 'catalog' | 'nothing';
