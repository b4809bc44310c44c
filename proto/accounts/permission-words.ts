import type { Mode } from '../oci/mode.ts';
import { gatewayActions, type OperateAction, type RepositoryAction } from './scopes.ts';

/** Words for the common uses of a registry, and the actions of each. Pure. */
export const permissionWords = {
  pull: ['content/read', 'metadata/read'],
  push: ['content/read', 'content/write', 'metadata/read', 'metadata/write'],
  delete: ['content/delete'],
} satisfies Record<string, RepositoryAction[]>;

/** Words for what an operator may do. */
export const operateWords = {
  read: ['operate/read'],
  write: ['operate/read', 'operate/write'],
} satisfies Record<string, OperateAction[]>;
export type OperateWord = keyof typeof operateWords;

/** Patterns by word. */
export type Words = Partial<Record<keyof typeof permissionWords, string[] | undefined>> & {
  operate?: OperateWord | undefined;
};

/** The actions of the words, without duplicates. */
export function actionsOfWords(words: Words): string[] {
  const kinds = Object.keys(permissionWords) as (keyof typeof permissionWords)[];
  const actions = kinds.flatMap((kind) =>
    (words[kind] ?? []).flatMap((pattern) =>
      permissionWords[kind].map((action) => `repositories/${pattern}/${action}`),
    ),
  );
  return [...new Set([...actions, ...(words.operate ? operateWords[words.operate] : [])])];
}

const childActions: Record<Mode, RepositoryAction[]> = {
  ReadOnly: ['content/read', 'metadata/read'],
  ReadWrite: ['content/read', 'content/write', 'content/delete', 'metadata/read', 'metadata/write'],
};

/** The same actions as a sync token of Azure Container Registry. */
export function actionsOfChild(name: string, mode: Mode, repositories: string[]): string[] {
  return [
    ...repositories.flatMap((pattern) =>
      childActions[mode].map((action) => `repositories/${pattern}/${action}`),
    ),
    ...gatewayActions.map((action) => `gateway/${name}/${action}`),
  ];
}
