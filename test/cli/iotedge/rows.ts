import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manifestComplaints } from '../../../cli/iotedge/iotedge-check.ts';
import { type Any, agentOf, readyExample } from './examples.ts';

/** Each change of the example of a nested layer has exactly one complaint. */
export type Row = [change: (agent: Any, desired: Any, manifest: Any) => void, complaint: RegExp];

export function rows(title: string, table: Row[]): void {
  test(title, async () => {
    for (const [change, expected] of table) {
      const manifest = await readyExample('nested');
      change(agentOf(manifest), manifest.modulesContent.terrace['properties.desired'], manifest);
      const complaints = manifestComplaints(manifest);
      assert.match(complaints.join('\n'), expected, String(change));
      assert.equal(complaints.length, 1, `${change}: ${complaints.join('\n')}`);
    }
  });
}

/** Changes the connection string of the module. */
export const connect = (agent: Any, change: (text: string) => string) => {
  const variable = agent.modules.terrace.env.ACR_REGISTRY_CONNECTION_STRING;
  variable.value = change(variable.value);
};

/** A further module that binds these ports of the device. */
export const bind = (agent: Any, ...hosts: Any[]) => {
  const options = JSON.stringify({ HostConfig: { PortBindings: { '80/tcp': hosts } } });
  agent.modules.other = {
    type: 'docker',
    status: 'running',
    restartPolicy: 'always',
    settings: { image: '$upstream:8000/other:1', createOptions: options },
  };
  return agent.modules.other;
};
