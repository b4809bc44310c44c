/** Where tokens of a content are known to begin. All lists are in order. */
export type TokenPlaces = {
  /** Of each deflate stream: its begin and end in the content, and its first token. */
  streams: { start: number[]; end: number[]; tokens: number[] };
  /** Places within streams where a token begins, and the token. */
  content: number[];
  tokens: number[];
};

export const noPlaces = (): TokenPlaces => ({
  streams: { start: [], end: [], tokens: [] },
  content: [],
  tokens: [],
});

/** Index of the last of these numbers, in order, that is not above a value; -1 if there is none. */
export function indexAt(numbers: readonly number[], value: number): number {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((numbers[middle] as number) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
