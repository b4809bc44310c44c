/**
 * A function of a text that remembers its last result: most requests in a row carry the same host.
 * @param compute pure; a result that it throws is not remembered
 */
export function ofLast<T>(compute: (text: string) => T): (text: string) => T {
  let last: { text: string; result: T } | undefined;
  return (text) => {
    if (last?.text !== text) last = { text, result: compute(text) };
    return last.result;
  };
}
