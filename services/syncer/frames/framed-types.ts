/** Media types of layers that may be in zstd:chunked or eStargz: nothing but the content says whether they are. */
const compressions = new Map<string, 'zstd' | 'gzip'>([
  ['application/vnd.oci.image.layer.v1.tar+zstd', 'zstd'],
  ['application/vnd.docker.image.rootfs.diff.tar.zstd', 'zstd'],
  ['application/vnd.oci.image.layer.v1.tar+gzip', 'gzip'],
  ['application/vnd.docker.image.rootfs.diff.tar.gzip', 'gzip'],
]);

/** @returns undefined if a layer of this type has no frames */
export const compressionOf = (mediaType: string): 'zstd' | 'gzip' | undefined => compressions.get(mediaType);
