import { Fault } from '../contract/fault.ts';
import { isRepositoryPattern } from '../oci/repository-pattern.ts';

/**
 * Permissions of a token: the action strings of scope maps of Azure Container Registry,
 * `repositories/<pattern>/<action>` and `gateway/<child>/<action>`, and Terrace's own `operate/read` and
 * `operate/write`. A pattern is a repository name, `prefix/*` or `*`. Rules only add permissions.
 */
export const repositoryActions = [
  'content/read',
  'content/write',
  'content/delete',
  'metadata/read',
  'metadata/write',
] as const;
export type RepositoryAction = (typeof repositoryActions)[number];

export const gatewayActions = ['config/read', 'config/write', 'message/read', 'message/write'] as const;
export type GatewayAction = (typeof gatewayActions)[number];

/** Of operators: to see the layer as a whole (`/api/v1`, the page, metrics), and to act on it. */
export const operateActions = ['operate/read', 'operate/write'] as const;
export type OperateAction = (typeof operateActions)[number];

const FORM = /^(repositories|gateway)\/(.+)\/((?:content|metadata|config|message)\/(?:read|write|delete))$/;
const CHILD = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Scope maps that every layer has and nobody can change; those of repositories as in Azure Container Registry. */
export const systemScopeMaps: Record<string, string[]> = {
  _repositories_admin: repositoryActions.map((action) => `repositories/*/${action}`),
  _repositories_pull: ['repositories/*/content/read'],
  _repositories_pull_metadata_read: ['repositories/*/content/read', 'repositories/*/metadata/read'],
  _repositories_push: ['repositories/*/content/read', 'repositories/*/content/write'],
  _repositories_push_metadata_write: [
    'repositories/*/content/read',
    'repositories/*/content/write',
    'repositories/*/metadata/read',
    'repositories/*/metadata/write',
  ],
  _operate_read: ['operate/read'],
  _operate: ['operate/read', 'operate/write'],
};

/** @returns the action as stored (a child's name in lower case) @throws Fault `malformed`, with the remedy */
export function parseAction(text: string): string {
  const [, kind, target = '', action = ''] = FORM.exec(text) ?? [];
  if (kind === 'repositories' && isRepositoryPattern(target) && includes(repositoryActions, action))
    return text;
  const child = target.toLowerCase();
  if (kind === 'gateway' && CHILD.test(child) && includes(gatewayActions, action)) {
    return `gateway/${child}/${action}`;
  }
  if (isOperateAction(text)) return text;
  throw new Fault(
    'malformed',
    `action ${JSON.stringify(text.slice(0, 120))} is not valid: write repositories/<name, prefix/* or *>/<${repositoryActions.join(' | ')}> gateway/<child>/<${gatewayActions.join(' | ')}> or ${operateActions.join(' or ')}`,
  );
}

/** The pattern and right of an action on repositories. Undefined for any other action. */
export function ruleOf(text: string): { pattern: string; action: RepositoryAction } | undefined {
  const [, kind, pattern = '', action = ''] = FORM.exec(text) ?? [];
  return kind === 'repositories' && includes(repositoryActions, action)
    ? { pattern, action: action as RepositoryAction }
    : undefined;
}

export const isOperateAction = (text: string): text is OperateAction => includes(operateActions, text);

export const isGatewayAction = (text: string): text is GatewayAction => includes(gatewayActions, text);

export function allowsGateway(actions: readonly string[], child: string, action: GatewayAction): boolean {
  return actions.includes(`gateway/${child.toLowerCase()}/${action}`);
}

/** Whether this is a valid name of a child. */
export const isChild = (text: string): boolean => CHILD.test(text);

const includes = (list: readonly string[], one: string) => list.includes(one);
