/**
 * Whether the operations of one register can be put in an order that a register would have answered
 * so, each between its invocation and its return: the search of Wing and Gong (1993) with the
 * memory of configurations of Lowe (2017), depth first.
 *
 * A configuration is the set of operations taken and the state. From it, any operation may come next
 * that was invoked before the first return among those not taken.
 *
 * Invariants:
 *  S1 Operations that change nothing are taken as soon as they fit: taking one early never takes away
 *     another's place, so that this needs no way back.
 *  S2 No configuration is expanded twice.
 *  S3 Of optional actions that are equal, the one invoked first is taken first.
 */
import { present } from '@moku/base';
import { type Action, isSatisfied, keepsState, type Register } from './register.js';

export interface SearchBudget {
  /** Configurations expanded, and remembered. */
  readonly configurationsMax: number;
  /** True once time is up; asked every few hundred configurations. */
  readonly isTimeUp: () => boolean;
}

export type SearchResult =
  | { readonly kind: 'found'; readonly configurations: number }
  | { readonly kind: 'spent'; readonly configurations: number }
  | {
      readonly kind: 'none';
      readonly configurations: number;
      /** No order explains the history up to this operation's return; without its return, one does. */
      readonly blocked: Action;
      /** What the register could hold there. */
      readonly states: readonly number[];
    };

interface Frame {
  /** Taken on the way into this configuration, in order. */
  readonly taken: readonly number[];
  readonly stateBefore: number;
  readonly candidates: readonly number[];
  nextCandidate: number;
}

const configurationsPerTimeCheck = 256;

export function searchLinearization(register: Register, budget: SearchBudget): SearchResult {
  return new Search(register, budget).run();
}

/**
 * Actions are numbered: required ones first, then optional ones, each in order of invocation. Those not
 * taken of either kind form a list (`next`, `previous`) with a head of its own.
 */
class Search {
  private readonly budget: SearchBudget;
  private readonly actions: readonly Action[];
  private readonly requiredCount: number;
  private readonly requiredHead: number;
  private readonly optionalHead: number;
  private readonly next: Int32Array;
  private readonly previous: Int32Array;
  private readonly isTaken: Uint8Array;
  /** Of an optional action: the equal one invoked just before it, or -1. */
  private readonly twin: Int32Array;
  private readonly seen = new Set<string>();
  private requiredLeft: number;
  private state: number;
  private configurations = 0;
  /** Of the farthest configurations met: the operation whose return they could not pass. */
  private blocked = -1;
  private blockedStates = new Set<number>();

  constructor({ required, optional, initialState }: Register, budget: SearchBudget) {
    this.budget = budget;
    this.actions = [...required, ...optional];
    this.requiredCount = required.length;
    this.requiredLeft = required.length;
    this.state = initialState;
    const count = this.actions.length;
    this.requiredHead = count;
    this.optionalHead = count + 1;
    this.next = new Int32Array(count + 2);
    this.previous = new Int32Array(count + 2);
    this.isTaken = new Uint8Array(count);
    this.chain(this.requiredHead, 0, required.length);
    this.chain(this.optionalHead, required.length, count);
    this.twin = twinsOf(this.actions, required.length);
  }

  run(): SearchResult {
    const root: number[] = [];
    this.absorb(root);
    const frames: Frame[] = [this.expand(root, this.state)];
    for (;;) {
      const { configurations } = this;
      if (this.requiredLeft === 0) return { kind: 'found', configurations };
      if (this.isSpent()) return { kind: 'spent', configurations };
      const frame = frames.at(-1);
      if (frame === undefined) return this.none();
      const candidate = frame.candidates[frame.nextCandidate];
      if (candidate === undefined) {
        frames.pop();
        this.undo(frame.taken, frame.stateBefore);
        continue;
      }
      frame.nextCandidate += 1;
      const stateBefore = this.state;
      const taken = [candidate];
      this.take(candidate);
      this.absorb(taken);
      const key = this.key();
      if (this.seen.has(key)) {
        this.undo(taken, stateBefore);
        continue;
      }
      this.seen.add(key);
      frames.push(this.expand(taken, stateBefore));
    }
  }

  private none(): SearchResult {
    const blocked = present(this.actions[this.blocked], 'a search that ends was blocked somewhere');
    const states = [...this.blockedStates];
    return { kind: 'none', configurations: this.configurations, blocked, states };
  }

  private isSpent(): boolean {
    if (this.configurations >= this.budget.configurationsMax) return true;
    return this.configurations % configurationsPerTimeCheck === 0 && this.budget.isTimeUp();
  }

  /** Links the actions from … to - 1 behind `head`. */
  private chain(head: number, from: number, to: number): void {
    let last = head;
    for (let i = from; i < to; i++) {
      this.next[last] = i;
      this.previous[i] = last;
      last = i;
    }
    this.next[last] = head;
    this.previous[head] = last;
  }

  private action(index: number): Action {
    return present(this.actions[index], 'an index of an action');
  }

  private after(index: number): number {
    return this.next[index] ?? this.requiredHead;
  }

  private take(index: number): void {
    const before = this.previous[index] ?? 0;
    const after = this.next[index] ?? 0;
    this.next[before] = after;
    this.previous[after] = before;
    this.isTaken[index] = 1;
    if (index < this.requiredCount) this.requiredLeft -= 1;
    const { effect } = this.action(index);
    if (effect !== keepsState) this.state = effect;
  }

  /** Takes back in the opposite order, which makes the links whole again. */
  private undo(taken: readonly number[], stateBefore: number): void {
    for (let i = taken.length - 1; i >= 0; i--) {
      const index = taken[i] ?? 0;
      this.next[this.previous[index] ?? 0] = index;
      this.previous[this.next[index] ?? 0] = index;
      this.isTaken[index] = 0;
      if (index < this.requiredCount) this.requiredLeft += 1;
    }
    this.state = stateBefore;
  }

  /** The required action not taken that returned first: nothing invoked later may come before it. */
  private firstReturn(): number {
    let first = -1;
    let line = Number.POSITIVE_INFINITY;
    for (let i = this.after(this.requiredHead); i !== this.requiredHead; i = this.after(i)) {
      const { operation } = this.action(i);
      if (operation.invokeLine > line) break;
      if (operation.returnLine >= line) continue;
      first = i;
      line = operation.returnLine;
    }
    return first;
  }

  /** S1. */
  private absorb(taken: number[]): void {
    for (let isDone = false; !isDone; ) {
      isDone = true;
      const first = this.firstReturn();
      if (first < 0) return;
      const line = this.action(first).operation.returnLine;
      for (let i = this.after(this.requiredHead); i !== this.requiredHead; i = this.after(i)) {
        const action = this.action(i);
        if (action.operation.invokeLine > line) break;
        if (action.effect !== keepsState || !isSatisfied(action, this.state)) continue;
        this.take(i);
        taken.push(i);
        isDone = false;
      }
    }
  }

  private expand(taken: readonly number[], stateBefore: number): Frame {
    this.configurations += 1;
    const first = this.firstReturn();
    const candidates: number[] = [];
    if (first >= 0) {
      this.noteBlocked(first);
      const line = this.action(first).operation.returnLine;
      this.addRequired(candidates, line);
      this.addOptional(candidates, line);
    }
    return { taken, stateBefore, candidates, nextCandidate: 0 };
  }

  private noteBlocked(first: number): void {
    const line = this.action(first).operation.returnLine;
    const farthest =
      this.blocked < 0 ? Number.NEGATIVE_INFINITY : this.action(this.blocked).operation.returnLine;
    if (line < farthest) return;
    if (line > farthest) this.blockedStates.clear();
    this.blocked = first;
    this.blockedStates.add(this.state);
  }

  /** Those that return first come first: they leave least choice. */
  private addRequired(candidates: number[], line: number): void {
    for (let i = this.after(this.requiredHead); i !== this.requiredHead; i = this.after(i)) {
      const action = this.action(i);
      if (action.operation.invokeLine > line) break;
      if (action.effect !== keepsState && isSatisfied(action, this.state)) candidates.push(i);
    }
    candidates.sort(
      (a, b) => this.action(a).operation.returnLine - this.action(b).operation.returnLine,
    );
  }

  /** After the others: most never took effect. */
  private addOptional(candidates: number[], line: number): void {
    for (let i = this.after(this.optionalHead); i !== this.optionalHead; i = this.after(i)) {
      const action = this.action(i);
      if (action.operation.invokeLine > line) break;
      if (action.effect === this.state || !isSatisfied(action, this.state)) continue;
      const twin = this.twin[i] ?? -1;
      if (twin < 0 || this.isTaken[twin] === 1) candidates.push(i); // S3
    }
  }

  /**
   * Names the configuration: its state, how many required actions were taken without a gap, the bits of
   * those behind the gap, and the bits of the optional ones.
   */
  private key(): string {
    const gap = this.after(this.requiredHead);
    const start = gap === this.requiredHead ? this.requiredCount : gap;
    const beyond = this.requiredCount - this.requiredLeft - start;
    const required = this.bits(start, this.requiredCount, beyond);
    const optional = this.bits(this.requiredCount, this.actions.length, Number.POSITIVE_INFINITY);
    return `${this.state},${start},${required},${optional}`;
  }

  /** isTaken of from … to - 1, 15 to a character, up to and with the `count`-th that is set. */
  private bits(from: number, to: number, count: number): string {
    let text = '';
    let word = 0;
    let width = 0;
    let left = count;
    for (let i = from; i < to && left > 0; i++) {
      if (this.isTaken[i] === 1) {
        word |= 1 << width;
        left -= 1;
      }
      width += 1;
      if (width < 15) continue;
      // From 0x30 on, so that no word is taken for the comma.
      text += String.fromCharCode(word + 0x30);
      word = 0;
      width = 0;
    }
    return width === 0 ? text : text + String.fromCharCode(word + 0x30);
  }
}

function twinsOf(actions: readonly Action[], from: number): Int32Array {
  const twin = new Int32Array(actions.length).fill(-1);
  const last = new Map<string, number>();
  for (let i = from; i < actions.length; i++) {
    const { guard, operand, effect } = present(actions[i], 'an index of an action');
    const form = `${guard},${guard === 'any' ? '' : operand},${effect}`;
    twin[i] = last.get(form) ?? -1;
    last.set(form, i);
  }
  return twin;
}
