export const serviceNames = ['gateway', 'storage', 'syncer', 'twin-bridge'] as const;

export type ServiceName = (typeof serviceNames)[number];

/** `operator` is the `terrace` command; `monitor` is for programs that are told what happens, and change nothing. */
export const userNames = [...serviceNames, 'operator', 'monitor'] as const;

export type UserName = (typeof userNames)[number];

/** Replies to a user's requests come below this subject, which no other user may hear. */
export const inboxOf = (user: UserName): string => `_INBOX_${user}`;
