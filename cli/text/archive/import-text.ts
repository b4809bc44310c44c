import type { Static } from '@sinclair/typebox';
import type { ImportResult, importArchive } from '#proto/archive/archives.ts';
import { formatBytes, plural } from '../../terminal/figures.ts';

/** What an import prints. `problems`: one line each, for stderr. Pure. */
export function describeImport({ results, unusable }: Static<typeof importArchive.reply>): {
  done: string;
  problems: string[];
} {
  return {
    done: results.map(describeResult).join('\n'),
    problems: [...results.flatMap(({ warnings, problems }) => [...warnings, ...problems]), ...unusable],
  };
}

function describeResult(result: ImportResult): string {
  const { sender, number, outcome, content, bytes, tags } = result;
  const set = `Set ${number} of ${sender}`;
  const what = `${plural(content, 'blob or manifest', 'blobs and manifests')}, ${formatBytes(bytes)}`;
  switch (outcome) {
    case 'refused':
      return `${set} is refused: nothing was changed.`;
    case 'known':
      return `${set} was imported already, or a later one was: nothing was changed.`;
    case 'verified':
      return `${set} is complete: it would bring ${what}. Nothing was changed (--dry-run).`;
    case 'imported':
      return `${set} is imported: ${[
        what,
        `${plural(tags?.moved ?? 0, 'tag')} new or moved`,
        `${tags?.deleted ?? 0} deleted`,
        ...(tags && tags.conflicts > 0 ? [plural(tags.conflicts, 'conflict')] : []),
      ].join(', ')}.`;
  }
}
