/** A delta that is damaged, hostile, or of another base or target. */
export class DeltaInvalid extends Error {}
