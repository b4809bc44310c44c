import type { PassContext } from '../context/pass-context.ts';

/** Connections that are open when the first manifests are requested, with their referrers, and then the first blobs. */
const PREPARED_CONNECTIONS = 4;

/** Opens connections to the parent while the pass still finds out what to pull. Transfers open further ones. */
export function prepareConnections({
  parent,
  configuration,
}: Pick<PassContext, 'parent' | 'configuration'>): void {
  parent.prepareConnections?.(Math.min(PREPARED_CONNECTIONS, configuration.connections));
}
