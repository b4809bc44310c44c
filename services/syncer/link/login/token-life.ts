/** How long tokens that are JWTs are good for (RFC 7519, 4.1). Pure; nothing is verified: who issued it will do that. */

/** The claims; undefined where the token is no JWT. */
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
 * Seconds from when it was issued to its end: the clock of this machine may be wrong, and the token has just come.
 * Where it does not say when it was issued, by this machine's clock (`now`, ms).
 */
export function lifeOf(token: string, now: number): number | undefined {
  const { exp, iat, nbf } = claimsOf(token) ?? {};
  if (typeof exp !== 'number') return undefined;
  const from = typeof iat === 'number' ? iat : typeof nbf === 'number' ? nbf : now / 1_000;
  return Math.max(0, exp - from);
}
