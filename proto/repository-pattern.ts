import { Type } from '@sinclair/typebox';

/** `*`, `prefix/*` or the name of one repository. */
export const RepositoryPattern = Type.String({
  pattern: '^(?:\\*|[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?:/\\*)?)$',
  maxLength: 255,
});
