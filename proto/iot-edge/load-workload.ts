import type { Workload } from './workload.ts';

/**
 * The workload API, loaded only in a module of IoT Edge; undefined elsewhere.
 * @param env see `workloadOf`
 * @throws Fault `config-invalid`, which names the variable
 */
export async function loadWorkload(env: NodeJS.ProcessEnv): Promise<Workload | undefined> {
  if (!env.IOTEDGE_WORKLOADURI) return undefined;
  const { workloadOf } = await import('./workload.ts');
  return workloadOf(env);
}
