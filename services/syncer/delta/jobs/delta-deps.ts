import type { BusCaller, EventPublisher } from '#proto/bus/roles.ts';
import type { Log } from '#proto/contract/log.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { Volume } from '#proto/volume/volume.ts';
import type { DeltaCounters } from '../../counters/delta-counters.ts';
import type { Limits } from '../worker/task.ts';

export type DeltaSettings = Pick<Configuration['delta'], 'mode' | 'scratch' | 'timeMs'> & {
  /** Bytes to keep free on the data volume. */
  reserve: number;
  /** Whether the mode of the layer is `ReadWrite`. */
  takesPushes: boolean;
};

/** What making and applying deltas needs. */
export type DeltaDeps = {
  bus: BusCaller & EventPublisher;
  volume: Volume;
  /** Absolute path of the data volume. */
  data: string;
  /** Those in force. */
  settings: () => DeltaSettings;
  counters: DeltaCounters;
  /** Environment of this process. */
  env: NodeJS.ProcessEnv;
  /** Id of this process, as the holder of claims. */
  by: string;
  log: Log;
};

/** Max memory of the process that works, beyond what it has at its start, in bytes. */
const MEMORY_BYTES = { make: 224 * 1024 * 1024, apply: 128 * 1024 * 1024 };

export function limitsOf(kind: 'make' | 'apply', { scratch, timeMs, reserve }: DeltaSettings): Limits {
  return { timeMs, memoryBytes: MEMORY_BYTES[kind], scratchBytes: scratch, reserveBytes: reserve };
}
