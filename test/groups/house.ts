import { runInTurn } from '../support/in-turn.ts';

await runInTurn('house');
