import type { Problem, Severity } from '../../api/layer.ts';
import { clip } from '../../contract/clip.ts';
import { MAX_REASON_LENGTH } from '../../contract/fault.ts';
import type { LayerStatus } from '../layer-status.ts';

/** The problems of one kind that a status has. */
export type Rule = (status: LayerStatus) => Problem[];

/** A problem with its texts cut to what a message has room for. */
export const problem = (
  code: string,
  severity: Severity,
  what: string,
  remedy: string,
  { since, subject }: { since?: number | undefined; subject?: string | undefined } = {},
): Problem => ({
  code,
  severity,
  what: clip(what, MAX_REASON_LENGTH),
  remedy,
  ...(since !== undefined && { since }),
  ...(subject !== undefined && { subject: clip(subject, 512) }),
});
