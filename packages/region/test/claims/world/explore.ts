/**
 * Walks the world's states: breadth-first up to a depth, or along given choices. From every state
 * visited a healed copy must come to rest as it should.
 */
import { InvariantError } from '@moku/base';
import { act, enabledActions } from './actions.js';
import { check, heal } from './checks.js';
import type { World } from './world.js';

export interface Finding {
  /** The shortest way found; each step is an argument of `act`. */
  readonly trace: readonly string[];
  readonly violations: readonly string[];
}

export interface Exploration {
  readonly states: number;
  readonly isComplete: boolean;
  readonly finding: Finding | undefined;
}

/** All states within `depth` steps of `start`, at most `statesMax`; stops at the first finding. */
export function exploreBreadthFirst(start: World, depth: number, statesMax: number): Exploration {
  const seen = new Set<string>([start.fingerprint()]);
  let level: { readonly world: World; readonly trace: readonly string[] }[] = [
    { world: start, trace: [] },
  ];
  for (let step = 0; step < depth; step++) {
    const next: typeof level = [];
    for (const { world, trace } of level) {
      for (const action of enabledActions(world)) {
        const child = world.clone();
        const fault = attempt(() => act(child, action));
        if (fault !== undefined) {
          const finding = { trace: [...trace, action], violations: [fault] };
          return { states: seen.size, isComplete: false, finding };
        }
        const print = child.fingerprint();
        if (seen.has(print)) continue;
        seen.add(print);
        const finding = judge(child, [...trace, action]);
        if (finding !== undefined) return { states: seen.size, isComplete: false, finding };
        if (seen.size >= statesMax) {
          return { states: seen.size, isComplete: false, finding: undefined };
        }
        next.push({ world: child, trace: [...trace, action] });
      }
    }
    level = next;
    if (level.length === 0) break;
  }
  return { states: seen.size, isComplete: true, finding: undefined };
}

/** One way: choice c takes the enabled action number c (modulo their number). Heals at the end. */
export function walk(start: World, choices: readonly number[]): Finding | undefined {
  const world = start.clone();
  const trace: string[] = [];
  for (const choice of choices) {
    const actions = weighted(enabledActions(world));
    if (actions.length === 0) break;
    const action = actions[choice % actions.length]!;
    trace.push(action);
    const fault = attempt(() => {
      act(world, action);
      check(world);
    });
    if (fault !== undefined) return { trace, violations: [fault] };
    if (world.violations.length > 0) return { trace, violations: world.violations };
  }
  return judge(world, trace);
}

/** What keeps a world going is chosen more often than what disturbs it. */
function weighted(actions: readonly string[]): string[] {
  return actions.flatMap((action) => new Array<string>(weightOf(action)).fill(action));
}

function weightOf(action: string): number {
  if (action.startsWith('deliver')) return 6;
  return /^(notice|connect|sync|beat|probe|propose|recover|learn)/.test(action) ? 3 : 1;
}

function judge(world: World, trace: readonly string[]): Finding | undefined {
  check(world);
  if (world.violations.length > 0) return { trace, violations: world.violations };
  const healed = world.clone();
  const fault = attempt(() => heal(healed));
  const violations = fault === undefined ? healed.violations : [fault, ...healed.violations];
  return violations.length === 0 ? undefined : { trace: [...trace, 'heal'], violations };
}

/** A broken invariant of the module itself is a finding like any other. */
function attempt(step: () => void): string | undefined {
  try {
    step();
    return undefined;
  } catch (error) {
    if (error instanceof InvariantError) return error.message;
    throw error;
  }
}
