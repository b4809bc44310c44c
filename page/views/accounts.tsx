import type { JSX } from 'preact';
import type { Accounts } from '#proto/api/accounts.ts';
import { usePolled } from '../api/polled.ts';
import { mayWrite } from '../api/session.ts';
import { now } from '../browser/clock.ts';
import { plural } from '../format/quantities.ts';
import { agoText, dayText, inText } from '../format/times.ts';
import { deactivateChild } from '../parts/actions.ts';
import { type Column, DataTable } from '../parts/data-table.tsx';
import { Panel, Pending, Quiet } from '../parts/panel.tsx';
import { State } from '../parts/shape.tsx';

type Token = Accounts['tokens'][number];
type ScopeMap = Accounts['scopeMaps'][number];
type Child = Accounts['children'][number];

const EVERY_MS = 15_000;

/** Tokens, scope maps and active children; nothing secret. */
export function AccountsView(): JSX.Element {
  const { value, error } = usePolled<Accounts>('/accounts', EVERY_MS);
  const accounts = value.value;
  return (
    <article class="view">
      <header class="view-head">
        <h1>Accounts</h1>
        <p class="note">
          Created and changed with <code>terrace token</code>, <code>terrace scope-map</code> and{' '}
          <code>terrace child</code>
        </p>
      </header>
      {accounts ? <Lists accounts={accounts} /> : <Pending error={error.value} />}
    </article>
  );
}

const Lists = ({ accounts: { tokens, scopeMaps, children, more } }: { accounts: Accounts }): JSX.Element => (
  <>
    <Panel id="tokens" title="Tokens" aside={plural(tokens.length, 'token')}>
      {tokens.length === 0 ? (
        <Quiet>None: this layer is open to every client that reaches it.</Quiet>
      ) : (
        <DataTable caption="Tokens" columns={tokenColumns} rows={tokens} keyOf={({ name }) => name} />
      )}
    </Panel>
    <Panel id="children" title="Active children" aside={plural(children.length, 'child', 'children')}>
      {children.length === 0 ? (
        <Quiet>No layer below is active.</Quiet>
      ) : (
        <DataTable
          caption="Active children"
          columns={childColumns}
          rows={children}
          keyOf={({ name }) => name}
        />
      )}
    </Panel>
    <Panel id="scope-maps" title="Scope maps" aside={plural(scopeMaps.length, 'scope map')}>
      <DataTable caption="Scope maps" columns={scopeColumns} rows={scopeMaps} keyOf={({ name }) => name} />
    </Panel>
    {more && <p class="note">There are more accounts than this answer has.</p>}
  </>
);

function expiry({ passwords }: Token): JSX.Element | string {
  if (passwords.length === 0) return 'no password';
  const ends = passwords.flatMap(({ expires }) => expires ?? []);
  if (ends.length < passwords.length) return 'does not expire';
  const last = ends.reduce((latest, end) => Math.max(latest, end), 0);
  if (last <= now.value) return <State tone="error" word="expired" />;
  return `${dayText(last)}, ${inText(last, now.value)}`;
}

const tokenColumns: Column<Token>[] = [
  { title: 'Name', isHeader: true, cell: ({ name }) => name },
  {
    title: 'State',
    cell: ({ enabled }) =>
      enabled ? <State tone="good" word="enabled" /> : <State tone="quiet" word="disabled" />,
  },
  { title: 'Scope map', cell: ({ scopeMap }) => scopeMap },
  { title: 'Passwords', figure: true, cell: ({ passwords }) => passwords.length },
  { title: 'Expires', cell: expiry },
  { title: 'Created', wide: true, cell: ({ created }) => dayText(created) },
  {
    title: 'Source',
    fills: true,
    wide: true,
    cell: ({ declared }) => (declared ? 'configuration document' : 'command'),
  },
];

const childColumns: Column<Child>[] = [
  { title: 'Child', isHeader: true, cell: ({ name }) => name },
  { title: 'Instance', wide: true, cell: ({ instance }) => <code>{instance}</code> },
  { title: 'Active since', cell: ({ since }) => dayText(since) },
  { title: 'Seen', cell: ({ seen }) => agoText(seen, now.value) },
  { title: 'Address', fills: true, wide: true, cell: ({ address }) => address ?? '' },
  {
    title: 'Action',
    cell: ({ name }) =>
      mayWrite.value && (
        <button type="button" class="small" onClick={() => deactivateChild(name)}>
          Deactivate
        </button>
      ),
  },
];

const scopeColumns: Column<ScopeMap>[] = [
  { title: 'Name', isHeader: true, cell: ({ name }) => name },
  { title: 'Kind', cell: ({ system, declared }) => (system ? 'system' : declared ? 'declared' : 'own') },
  {
    title: 'Actions',
    fills: true,
    cell: ({ actions }) => (
      <ul class="actions">
        {actions.slice(0, 20).map((action) => (
          <li key={action}>
            <code>{action}</code>
          </li>
        ))}
        {actions.length > 20 && <li>… and {actions.length - 20} more</li>}
      </ul>
    ),
  },
];
