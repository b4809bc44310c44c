/** What the state machines of the syncer share (`coordinator/`, `transfer/`). */

/** What a state has by the transition that entered it. */
export function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the state was entered without its value');
  return value;
}

/** Stands for an actor that `provide` has to replace. */
export const missing = () => Promise.reject(new Error('no actor was provided for this step'));
