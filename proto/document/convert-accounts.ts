import { actionsOfChild, actionsOfWords } from '../accounts/permission-words.ts';
import {
  type DeclaredAccount,
  DeclaredChild,
  type DeclaredPassword,
  DeclaredToken,
} from './declared-accounts.ts';
import { orDefault } from './fields.ts';

/** The accounts that a document declares, in the form that storage applies. Pure. */

type Declaring = { tokens?: DeclaredToken[]; children?: DeclaredChild[] };

/** Accounts of a document, as sent to storage. The paths of secret files in it must be absolute. */
export function declaredAccounts({ tokens = [], children = [] }: Declaring): DeclaredAccount[] {
  return [
    ...tokens.map((token) => ({
      name: token.name,
      enabled: orDefault(token.enabled, DeclaredToken.properties.enabled),
      ...(token.scopeMap !== undefined ? { scopeMap: token.scopeMap } : { actions: actionsOfToken(token) }),
      passwords: token.passwords.map(passwordOf),
    })),
    ...children.map((child) => ({
      name: child.name,
      enabled: orDefault(child.enabled, DeclaredChild.properties.enabled),
      actions: actionsOfChild(
        child.name,
        writes(child.mode) ? 'ReadWrite' : 'ReadOnly',
        listOf(child.repositories),
      ),
      passwords: child.passwords.map(passwordOf),
    })),
  ];
}

export function actionsOfToken({
  actions = [],
  pull,
  push,
  delete: remove,
  operate,
}: DeclaredToken): string[] {
  const words = { pull: some(pull), push: some(push), delete: some(remove), operate };
  return [...new Set([...actions, ...actionsOfWords(words)])];
}

export const writes = (mode: string | undefined): boolean => mode === 'ReadWrite' || mode === 'Registry';

const some = (patterns: string | string[] | undefined): string[] =>
  patterns === undefined ? [] : listOf(patterns);

const listOf = (patterns: string | string[]): string[] =>
  typeof patterns === 'string' ? [patterns] : patterns;

function passwordOf(password: DeclaredPassword): DeclaredAccount['passwords'][number] {
  if (typeof password === 'string') return { hash: password };
  const { hash, secretFile, expires } = password;
  return {
    ...(hash !== undefined && { hash }),
    ...(secretFile !== undefined && {
      secretFile,
    }),
    ...(expires !== undefined && { expires: Date.parse(expires) }),
  };
}
