/** A configuration document, and where its relative paths start. */
export type Text = { text: string; folder: string };

/** What a source found: the text of a configuration document, or why there is none. */
export type Found = (Text | { complaint: string }) & {
  /** Of the desired properties that it stands in. */
  version?: number;
  /** A document whose fields count where this one does not name them. */
  beneath?: Text;
};

/** Where configuration documents come from. */
export type DocumentSource = {
  /** For a person: where to look when the document is to be changed. */
  readonly name: string;
  /**
   * Tells what it finds, at once and each time it has changed, until it is disposed. The handler says whether it is in
   * force now, where it knows.
   */
  watch(handler: (found: Found) => boolean | undefined): Disposable;
};

/** The document of a layer that has only its command-line options. */
export const emptySource: DocumentSource = {
  name: 'the options of terrace up',
  watch(handler) {
    handler({ text: '', folder: '.' });
    return { [Symbol.dispose]() {} };
  },
};
