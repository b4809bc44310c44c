/** The layer can't be rebuilt from frames: it comes as any other. Its message is the reason, for the log. */
export class OddLayer extends Error {}
