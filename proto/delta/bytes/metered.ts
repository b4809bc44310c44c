import type { ByteSink, Bytes, Scratch } from './bytes.ts';

/** The same bytes; `poll` is called before each read. */
export const meteredBytes = (bytes: Bytes, poll: () => void): Bytes => ({
  size: bytes.size,
  read(target, at) {
    poll();
    return bytes.read(target, at);
  },
});

/** The same sink; `onAppend` receives the number of bytes before they are appended. */
export const meteredSink = (sink: ByteSink, onAppend: (bytes: number) => void): ByteSink => ({
  append(bytes) {
    onAppend(bytes.length);
    sink.append(bytes);
  },
});

/** The same scratch bytes, with both. */
export const meteredScratch = (
  scratch: Scratch,
  poll: () => void,
  onAppend: (bytes: number) => void,
): Scratch => ({
  get size() {
    return scratch.size;
  },
  read(target, at) {
    poll();
    return scratch.read(target, at);
  },
  append(bytes) {
    onAppend(bytes.length);
    scratch.append(bytes);
  },
});
