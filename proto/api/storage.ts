import { Collected } from '../content/maintenance.ts';
import { described } from '../contract/contract.ts';
import { StorageStatus } from '../status/storage-status.ts';

/** Content and condition of storage, as storage answers it. */
export const StorageStatusAnswer = described(StorageStatus, 'Content and condition of storage.');

/** What garbage collection would delete, and what it would leave. */
export const GarbageAnswer = described(Collected, 'What garbage collection would delete, and what is held.');
