import type { Mode } from '../oci/mode.ts';
import { gatewayActions, type RepositoryAction } from './scopes.ts';

/** Words for what people do with a registry, and the actions that each takes. Pure. */
export const permissionWords = {
  pull: ['content/read', 'metadata/read'],
  push: ['content/read', 'content/write', 'metadata/read', 'metadata/write'],
  delete: ['content/delete'],
} satisfies Record<string, RepositoryAction[]>;

/** Patterns by word. */
export type Words = Partial<Record<keyof typeof permissionWords, string[] | undefined>>;

/** The actions that the words stand for, each once. */
export function actionsOfWords(words: Words): string[] {
  const kinds = Object.keys(permissionWords) as (keyof typeof permissionWords)[];
  const meant = kinds.flatMap((kind) =>
    (words[kind] ?? []).flatMap((pattern) =>
      permissionWords[kind].map((action) => `repositories/${pattern}/${action}`),
    ),
  );
  return [...new Set(meant)];
}

const childActions: Record<Mode, RepositoryAction[]> = {
  ReadOnly: ['content/read', 'metadata/read'],
  ReadWrite: ['content/read', 'content/write', 'content/delete', 'metadata/read', 'metadata/write'],
};

/** The same as a sync token of Azure Container Registry has. */
export function actionsOfChild(name: string, mode: Mode, repositories: string[]): string[] {
  return [
    ...repositories.flatMap((pattern) =>
      childActions[mode].map((action) => `repositories/${pattern}/${action}`),
    ),
    ...gatewayActions.map((action) => `gateway/${name}/${action}`),
  ];
}
