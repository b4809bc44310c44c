import { described } from '../contract/contract.ts';
import { StorageStatus } from '../status/storage-status.ts';

/** Content and condition of storage, as storage answers it. */
export const StorageStatusAnswer = described(StorageStatus, 'Content and condition of storage.');
