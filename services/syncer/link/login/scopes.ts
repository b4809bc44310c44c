/** Scopes for the parent's token service ("Docker Registry v2 authentication", scopes). */
export const pullScope = (repository: string): string => `repository:${repository}:pull`;
export const push = (repository: string): string => `repository:${repository}:pull,push`;
export const remove = (repository: string): string => `repository:${repository}:pull,push,delete`;
