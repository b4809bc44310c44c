import type { JSX } from 'preact';
import type { Repositories, RepositoryItem, RepositorySync } from '#proto/api/repositories.ts';
import { changesToPush } from '#proto/sync/changes-to-push.ts';
import { known, usePolled } from '../../api/polled.ts';
import { replaceRoute } from '../../browser/location.ts';
import { bytesText, countText } from '../../format/quantities.ts';
import { type Column, DataTable } from '../../parts/data-table.tsx';
import { Pager, usePages } from '../../parts/pager.tsx';
import { Failure, Pending, Quiet } from '../../parts/panel.tsx';
import { State } from '../../parts/shape.tsx';
import { filteredList } from '../../state/repository-list.ts';
import { repositoriesPath } from '../../state/requests.ts';
import { hrefOf } from '../../state/routes.ts';
import type { Tone } from '../../state/tone.ts';
import { STATE_WORDS } from '../../state/verdict.ts';
import { Filter } from './filter.tsx';

/** Content of the layer: repositories, their tags (tags.tsx) and manifests (manifest.tsx). */

const EVERY_MS = 15_000;

const columns: Column<RepositoryItem>[] = [
  {
    title: 'Repository',
    isHeader: true,
    fills: true,
    cell: ({ repository }) => (
      <a href={hrefOf({ view: 'repository', repository, differing: false })}>{repository}</a>
    ),
  },
  {
    title: 'Tags',
    figure: true,
    cell: ({ tags }) => (tags === undefined ? '' : countText(tags)),
  },
  { title: 'State', cell: ({ sync }) => sync && <State {...stateOf(sync)} /> },
  {
    title: 'Missing here',
    figure: true,
    cell: ({ sync }) =>
      sync?.behind && sync.behind.tags > 0
        ? `${countText(sync.behind.tags)}, ${bytesText(sync.behind.bytes)}`
        : '',
  },
  {
    title: 'To push',
    figure: true,
    wide: true,
    cell: ({ sync }) => some(sync?.ahead && changesToPush(sync.ahead)),
  },
  { title: 'Refused', figure: true, wide: true, cell: ({ sync }) => some(sync?.ahead?.parked) },
  { title: 'Conflicts', figure: true, wide: true, cell: ({ sync }) => some(sync?.conflicts) },
  { title: 'Incomplete', figure: true, wide: true, cell: ({ sync }) => some(sync?.leftOut) },
  { title: 'Selected', wide: true, cell: ({ selected }) => (selected ? 'yes' : 'no: only here') },
];

function stateOf({ state, behind, uncompared }: RepositorySync): { tone: Tone; word: string } {
  if (uncompared && state === 'unknown') return { tone: 'error', word: 'Not compared' };
  const { tone, word } = STATE_WORDS[state];
  return { tone: behind && behind.failed > 0 ? 'error' : tone, word };
}

const some = (count: number | undefined) => (count ? countText(count) : '');

export function RepositoriesView({ match, state }: { match: string; state: string }): JSX.Element {
  const list = { match, state };
  const pages = usePages(repositoriesPath(list));
  const { value, error } = usePolled<Repositories>(repositoriesPath(list, pages.cursor), EVERY_MS);
  const found =
    value.value ?? filteredList(known<Repositories>(repositoriesPath({ match: '', state })), match);
  return (
    <article class="view">
      <header class="view-head">
        <h1>Repositories</h1>
        <Filter
          label="Repositories whose name contains"
          match={match}
          state={state}
          onChange={(next) => replaceRoute({ view: 'repositories', ...next })}
        />
      </header>
      {found && error.value && <Failure error={error.value} />}
      {!found && <Pending error={error.value} />}
      {found?.items.length === 0 && <Quiet>No repository matches.</Quiet>}
      {found && found.items.length > 0 && (
        <DataTable
          caption="Repositories"
          columns={columns}
          rows={found.items}
          keyOf={({ repository }) => repository}
        />
      )}
      {found && <Pager pages={pages} next={found.next} count={found.items.length} noun="repositories" />}
    </article>
  );
}
