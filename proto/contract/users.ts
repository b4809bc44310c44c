export const serviceNames = ['gateway', 'storage', 'syncer', 'twin-bridge'] as const;

export type ServiceName = (typeof serviceNames)[number];

/** Users of the bus. `operator` is the `terrace` command; `monitor` is for programs that only subscribe and read. */
export const userNames = [...serviceNames, 'operator', 'monitor'] as const;

export type UserName = (typeof userNames)[number];

/** Subject below which a user receives replies. No other user may subscribe to it. */
export const inboxOf = (user: UserName): string => `_INBOX_${user}`;
