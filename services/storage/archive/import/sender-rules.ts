import { setName } from '#proto/archive/set-names.ts';
import { plural } from '#proto/contract/quantity-text.ts';
import type { ConflictPolicy } from '#proto/document/selection.ts';
import { selectionOf } from '#proto/oci/repository-pattern.ts';
import type { ArchiveSettingsRecord, RecordedExchange } from '../../metadata/records.ts';
import type { FoundSet } from './found-sets.ts';
import type { ListKeys } from './list-keys.ts';
import type { MoveRules } from './move-tags.ts';

/** Max names in a sentence. */
const MAX_NAMES = 3;

/** What is taken of the sets of one sender. */
export type SenderRules = {
  rules: MoveRules;
  /** Repositories that count; `undefined`: all. */
  repositories?: readonly string[];
  /** What a person has to know of other repositories of a set: a sentence. */
  warning?: (set: FoundSet, others: readonly string[]) => string;
};

type Selections = readonly { name: string; conflict: ConflictPolicy }[];

/** The rules of an exchange. @param selections of this layer */
export function exchangeRules(
  { side, mode, repositories }: Pick<RecordedExchange, 'side' | 'mode' | 'repositories'>,
  selections: Selections,
): SenderRules {
  const conflict = (repository: string) => selectionOf(selections, repository)?.conflict ?? 'parent-wins';
  // What is exchanged: the child's own selection, or what the parent grants it.
  const patterns = side === 'child' ? selections.map(({ name }) => name) : repositories;
  // Of a layer that may change nothing here, no content is stored either: referrers count without a tag.
  const takesNothing = side === 'parent' && mode === 'ReadOnly';
  return {
    rules: { side, mode, conflict, arrived: side === 'child' },
    repositories: takesNothing ? [] : patterns,
  };
}

/**
 * The rules for sets that a person brings. A sender that an exchange names is held to the same as in its inbox.
 * @param other for senders that no exchange names
 * @param given the person's decision about conflicts
 */
export function rulesByHand(
  { exchanges = [], selections = [] }: Pick<ArchiveSettingsRecord, 'exchanges' | 'selections'>,
  other: MoveRules,
  given: ConflictPolicy | undefined,
): (sender: string) => SenderRules {
  return (sender) => {
    const exchange = exchanges.find(({ peer }) => peer === sender);
    if (!exchange) return { rules: other };
    const { rules, ...scope } = exchangeRules(exchange, selections);
    return {
      ...scope,
      rules: { ...rules, ...(given && { conflict: () => given }) },
      warning: (set, others) =>
        `${nameOf(set)}: ${warningOf(exchange, fieldOf(exchanges, exchange), others)}`,
    };
  };
}

/** Keys of the senders that have their own. */
export function keysByHand({
  exchanges = [],
}: Pick<ArchiveSettingsRecord, 'exchanges'>): NonNullable<ListKeys['bySender']> {
  return new Map(
    exchanges.flatMap((exchange) => {
      const { peer, verifyKeyFiles: files } = exchange;
      const field = `${fieldOf(exchanges, exchange)}.verifyKeyFiles`;
      return peer === undefined || files.length === 0 ? [] : [[peer, { files, field }] as const];
    }),
  );
}

function warningOf({ side, mode }: RecordedExchange, field: string, others: readonly string[]): string {
  const names = `${others.slice(0, MAX_NAMES).join(', ')}${others.length > MAX_NAMES ? ', …' : ''}`;
  const what = `${plural(others.length, 'repository is', 'repositories are')} not taken over (${names})`;
  if (side === 'child') return `${what}: select them in repositories, and import a later set`;
  if (mode === 'ReadOnly')
    return `${what}, as ${field}.mode is ReadOnly: write ReadWrite there, and import a later set`;
  return `${what}, as ${field}.repositories does not grant them: add them there, and import a later set`;
}

const nameOf = ({ list }: FoundSet): string => setName(list.sender.layer, list.target.name, list.number);

/** The exchange as complaints about the document name it. */
function fieldOf(exchanges: readonly RecordedExchange[], exchange: RecordedExchange): string {
  if (exchange.side === 'child') return 'parent';
  return `exchanges.${exchanges.filter(({ side }) => side === 'parent').indexOf(exchange)}`;
}
