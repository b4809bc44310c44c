import { useEffect, useState } from 'preact/hooks';

/** About as many as a screen shows. */
const FIRST = 32;
/** Time for which a table has only its first rows, in ms: they are painted by then. */
const FIRST_MS = 50;

/** The rows of a table that was just opened: at first only those that are seen, then all. */
export function useFirstRows<Row>(rows: readonly Row[]): readonly Row[] {
  const [isComplete, setComplete] = useState(rows.length <= FIRST);
  useEffect(() => {
    const timer = setTimeout(() => setComplete(true), FIRST_MS);
    return () => clearTimeout(timer);
  }, []);
  return isComplete ? rows : rows.slice(0, FIRST);
}
