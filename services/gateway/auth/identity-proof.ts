import type { Authentication } from './authentication.ts';
import type { LoggedIn, LoginCredentials, Refused } from './password-login.ts';

/**
 * Who proves who a person is, for a session: the password of a token. Another proof, such as the identity provider of
 * a plant, returns the same: the token that the person acts as, and a fingerprint with which the session ends.
 * @throws Fault `too-many`, `unavailable`
 */
export type IdentityProof<Claim> = (claim: Claim, address: () => string) => Promise<LoggedIn | Refused>;

/** By name and password, slowed down against guessing as every login. */
export const passwordProof =
  (authentication: Authentication): IdentityProof<LoginCredentials> =>
  (credentials, address) =>
    authentication.verify(credentials, address);
