/** Scopes for the parent's token service ("Docker Registry v2 authentication", scopes). */
export const pullScope = (repository: string): string => `repository:${repository}:pull`;
export const pushScope = (repository: string): string => `repository:${repository}:pull,push`;
export const deleteScope = (repository: string): string => `repository:${repository}:pull,push,delete`;
