import type { ComponentChildren, JSX } from 'preact';
import type { RequestError } from '../api/request.ts';
import { Shape } from './shape.tsx';

type PanelProps = {
  /** Also the id of its heading. */
  id: string;
  title: string;
  /** At the end of the heading: a figure or buttons. */
  aside?: ComponentChildren;
  class?: string;
  children: ComponentChildren;
};

/** A section with a heading, as a landmark. */
export function Panel({ id, title, aside, class: extra = '', children }: PanelProps): JSX.Element {
  return (
    <section class={`panel ${extra}`} aria-labelledby={id}>
      <header class="panel-head">
        <h2 id={id}>{title}</h2>
        {aside !== undefined && <div class="panel-aside">{aside}</div>}
      </header>
      {children}
    </section>
  );
}

/** Why something is not shown. */
export function Failure({ error }: { error: Pick<RequestError, 'message'> }): JSX.Element {
  return (
    <p class="failure" role="alert">
      <Shape tone="error" />
      <span>{error.message}</span>
    </p>
  );
}

export const Quiet = ({ children }: { children: ComponentChildren }): JSX.Element => (
  <p class="quiet-text">{children}</p>
);

/** What a view shows until its first answer, and if there is none. */
export function Pending({ error }: { error: RequestError | undefined }): JSX.Element {
  return error ? <Failure error={error} /> : <Quiet>Loading …</Quiet>;
}

type Fact = [name: string, value: ComponentChildren];

/** Names and values. Entries without a value are left out. */
export function Facts({ facts, class: extra = '' }: { facts: Fact[]; class?: string }): JSX.Element {
  return (
    <dl class={`facts ${extra}`}>
      {facts
        .filter(([, value]) => value !== undefined && value !== '')
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
