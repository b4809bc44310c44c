/** Lifetime of tokens that are JWTs (RFC 7519, 4.1). Pure. No signature is verified: the issuer does that. */

/** The claims; undefined if the token is not a JWT. */
export function claimsOf(token: string): Record<string, unknown> | undefined {
  const [, payload, signature] = token.split('.');
  if (!payload || signature === undefined) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null ? (claims as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Seconds from issue to expiry; undefined if the token does not expire. Issue is read from the token, which has just
 * arrived, because the clock of this machine may be wrong. A token without it is measured from `now`.
 * @param now this machine's clock, in ms since 1970
 */
export function lifeOf(token: string, now: number): number | undefined {
  const { exp, iat, nbf } = claimsOf(token) ?? {};
  if (typeof exp !== 'number') return undefined;
  const from = typeof iat === 'number' ? iat : typeof nbf === 'number' ? nbf : now / 1_000;
  return Math.max(0, exp - from);
}
