/**
 * Sources of configuration documents: a YAML file (file-source.ts), the module twin (../iot-edge/twin.ts), or none
 * (`emptySource`). with-lower-document.ts puts one source above another. first-start.ts adds an empty document if a
 * source has none in time.
 *
 * A source passes its document to a handler, once at the start and after each change, until it is disposed. It passes a
 * complaint if the document can't be read. The handler returns whether the document is in force.
 */

/** Text of a configuration document, and the folder that its relative paths are relative to. */
export type Text = { text: string; folder: string };

/** The document of a source, or the reason why it has none. */
export type SourceState = (Text | { complaint: string }) & {
  /** Version of the desired properties that contain the document. */
  version?: number;
  /** Document whose fields apply unless this one sets them. */
  lower?: Text;
};

export type DocumentSource = {
  /** For an operator: the place to change the document. */
  readonly name: string;
  /**
   * Calls the handler with the document, at once if it is known and after each change, until disposed. The handler
   * returns whether the document is in force now; undefined if it does not know.
   */
  watch(handler: (found: SourceState) => boolean | undefined): Disposable;
};

/** The source of a layer that has only command-line options. */
export const emptySource: DocumentSource = {
  name: 'the options of terrace up',
  watch(handler) {
    handler({ text: '', folder: '.' });
    return { [Symbol.dispose]() {} };
  },
};
