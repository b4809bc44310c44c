import { setDefaultAutoSelectFamilyAttemptTimeout } from 'node:net';

/**
 * Time for the handshake with each address of a name but the last, in ms. The default of Node.js, 250 ms, is shorter
 * than the round trip of a satellite link: no name with addresses of both families would ever be reached over it.
 */
export const ADDRESS_MS = 5_000;

/** Applies `ADDRESS_MS` to all connections of this process. */
export const setAddressTimeout = (): void => setDefaultAutoSelectFamilyAttemptTimeout(ADDRESS_MS);
