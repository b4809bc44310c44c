import { runInTurn } from '../support/in-turn.ts';

await runInTurn('e2e-layers');
