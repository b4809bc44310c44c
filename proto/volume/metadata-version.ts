/** Version of the table of keys in the metadata that this Terrace writes: services/storage/metadata/keys.ts. */
export const METADATA_VERSION = 5;
/** The earliest version that it can read, and then converts. */
export const MIN_METADATA_VERSION = 1;
