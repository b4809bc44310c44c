import type { JSX } from 'preact';
import type { RepositoryItem, TagItem, Tags } from '#proto/api/repositories.ts';
import { usePolled } from '../../api/polled.ts';
import { now } from '../../browser/clock.ts';
import { go, replaceRoute } from '../../browser/location.ts';
import { shortDigest } from '../../format/names.ts';
import { bytesText } from '../../format/quantities.ts';
import { agoText } from '../../format/times.ts';
import { type Column, DataTable } from '../../parts/data-table.tsx';
import { Pager, usePages } from '../../parts/pager.tsx';
import { Failure, Pending, Quiet } from '../../parts/panel.tsx';
import { State } from '../../parts/shape.tsx';
import { repositoryPath, tagsPath } from '../../state/requests.ts';
import { hrefOf } from '../../state/routes.ts';
import { STATE_WORDS } from '../../state/verdict.ts';

const EVERY_MS = 15_000;

function stateOf({ state, parked, conflictOf }: TagItem): JSX.Element | null {
  if (parked) return <State tone="error" word="Refused" />;
  if (conflictOf) return <State tone="warning" word="Conflict tag" />;
  return state ? <State {...STATE_WORDS[state]} /> : null;
}

/** What the parent has, if it is not what is here. */
function atParent({ digest, parent }: TagItem): string {
  if (parent === undefined) return 'not known';
  if (parent === null) return 'no such tag';
  return parent === digest ? 'the same' : shortDigest(parent);
}

function noteOf({ conflictOf, reason, since, bytes }: TagItem): string {
  return [
    conflictOf && `the loser of a conflict over ${conflictOf}`,
    reason,
    bytes !== undefined && bytes > 0 && `${bytesText(bytes)} to transfer`,
    since !== undefined && `since ${agoText(since, now.value)}`,
  ]
    .filter(Boolean)
    .join('; ');
}

const columnsOf = (repository: string): Column<TagItem>[] => [
  {
    title: 'Tag',
    isHeader: true,
    cell: ({ tag, digest }) =>
      digest ? <a href={hrefOf({ view: 'manifest', repository, reference: tag })}>{tag}</a> : tag,
  },
  { title: 'State', cell: stateOf },
  {
    title: 'Here',
    cell: ({ digest }) => (digest ? <code title={digest}>{shortDigest(digest)}</code> : 'not here'),
  },
  { title: 'At the parent', wide: true, cell: (item) => <code>{atParent(item)}</code> },
  { title: 'Note', fills: true, cell: noteOf },
];

type TagsProps = { repository: string; differing: boolean };

export function TagsView({ repository, differing }: TagsProps): JSX.Element {
  const list = { repository, differing };
  const pages = usePages(tagsPath(list));
  const { value, error } = usePolled<Tags>(tagsPath(list, pages.cursor), EVERY_MS);
  const found = value.value;
  return (
    <article class="view">
      <nav class="crumbs" aria-label="Path">
        <a href="#/repositories">Repositories</a>
      </nav>
      <header class="view-head">
        <h1>{repository}</h1>
        <TagFilter repository={repository} differing={differing} />
      </header>
      {found && error.value && <Failure error={error.value} />}
      {!found && <Pending error={error.value} />}
      {found?.items.every(({ state }) => state && state !== 'in-sync') && (
        <NotCompared repository={repository} />
      )}
      {found?.items.length === 0 && (
        <Quiet>{differing ? 'No tag differs from the parent.' : 'No tags.'}</Quiet>
      )}
      {found && found.items.length > 0 && (
        <DataTable
          caption={`Tags of ${repository}`}
          columns={columnsOf(repository)}
          rows={found.items}
          keyOf={({ tag }) => tag}
        />
      )}
      {found && <Pager pages={pages} next={found.next} count={found.items.length} noun="tags" />}
    </article>
  );
}

/** Why the repository could not be compared with the parent. */
function NotCompared({ repository }: { repository: string }): JSX.Element | null {
  const { uncompared } =
    usePolled<RepositoryItem>(repositoryPath(repository), EVERY_MS).value.value?.sync ?? {};
  if (!uncompared) return null;
  const { since, reason } = uncompared;
  return (
    <Failure error={{ message: `Could not be compared (first ${agoText(since, now.value)}): ${reason}` }} />
  );
}

/** Only what differs, or one tag or digest by its name. */
function TagFilter({ repository, differing }: TagsProps): JSX.Element {
  const open = (event: SubmitEvent) => {
    event.preventDefault();
    const entered = new FormData(event.currentTarget as HTMLFormElement).get('reference');
    const reference = typeof entered === 'string' ? entered.trim() : '';
    if (reference) go({ view: 'manifest', repository, reference });
  };
  return (
    <form class="filter" aria-label="Filter" onSubmit={open}>
      <label class="check">
        <input
          type="checkbox"
          checked={differing}
          onChange={() => replaceRoute({ view: 'repository', repository, differing: !differing })}
        />{' '}
        only tags that differ
      </label>
      <label>
        <span class="only-read">Tag or digest</span>
        <input type="search" name="reference" placeholder="Open a tag or digest" maxLength={135} />
      </label>
      <button type="submit">Open</button>
    </form>
  );
}
