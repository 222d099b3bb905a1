/**
 * What a network does to the messages between two nodes: some or all of them are dropped, delayed,
 * reordered, repeated or corrupted, either way.
 *
 * Invariant L1: what was changed is written down with its connection, so that a run can ask whether the
 * receiver noticed.
 */
import { type Prng, unreachable } from '@moku/base';
import type { Closing, Direction, FrameProxy, ProxiedMessage } from './frame-proxy.js';

export const faultKinds = ['drop', 'delay', 'reorder', 'duplicate', 'corrupt'] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface FrameFault {
  readonly kind: FaultKind;
  readonly direction: Direction;
  /** `all`: the link is of no use. */
  readonly reach: 'some' | 'all';
}

/** Kinds that change what the receiver gets; what it may call that, in its close frame. */
const codesOf: Readonly<Record<Exclude<FaultKind, 'delay'>, readonly string[]>> = {
  drop: ['FRAME_MALFORMED', 'HANDSHAKE_TIMEOUT', 'PEER_SILENT'],
  reorder: ['FRAME_MALFORMED', 'HANDSHAKE_TIMEOUT', 'PEER_SILENT'],
  duplicate: ['FRAME_MALFORMED'],
  corrupt: ['FRAME_CORRUPT'],
};

/** Why connections end that were changed too late to be the reason. */
const ordinaryCodes = ['LINK_REPLACED', 'PEER_SILENT', 'CONNECTION_LOST', 'HANDSHAKE_TIMEOUT'];

/** One of so many messages is hit by a fault of some. */
const someShare = 1 / 40;
const someDelayMsMax = 60;
/** Longer than a handshake may take. */
const allDelayMs = 2_500;

interface Change {
  readonly kind: Exclude<FaultKind, 'delay'>;
  readonly connection: number;
  readonly direction: Direction;
}

export class LinkFaults {
  private readonly proxy: FrameProxy;
  private readonly prng: Prng;
  private active: readonly FrameFault[] = [];
  /** Messages that wait for the next one of their stream, which overtakes them. */
  private readonly held = new Map<string, Buffer>();
  private changes: Change[] = [];
  private readonly counts = new Map<FaultKind, number>();

  /** Before the proxy's first connection. */
  constructor(proxy: FrameProxy, prng: Prng) {
    this.proxy = proxy;
    this.prng = prng;
    proxy.rewrite = (message) => this.rewrite(message);
  }

  /** These faults from now on, and no others. */
  set(faults: readonly FrameFault[]): void {
    this.active = faults;
    for (const direction of ['up', 'down'] as const) {
      const delay = faults.find((one) => one.kind === 'delay' && one.direction === direction);
      this.proxy.setDelay(direction, () => (delay === undefined ? 0 : this.delayMs(delay)));
    }
  }

  /** How often something was done to a message, by kind; a chunk that was late counts as one. */
  struck(kind: FaultKind): number {
    return this.counts.get(kind) ?? 0;
  }

  /** Forgets what was changed so far. */
  forget(): void {
    this.changes = [];
    this.counts.clear();
  }

  /** Connections on which something was changed and that still stand. */
  standing(): number {
    const changed = new Set(this.changes.map(({ connection }) => connection));
    return [...changed].filter((connection) => this.proxy.isStanding(connection)).length;
  }

  /** Connections with changes of this kind whose receiver closed them with a code that fits. */
  noticed(kind: Change['kind']): number {
    return this.answers(kind).filter((text) => isCode(text, codesOf[kind])).length;
  }

  /** What receivers said that closed such connections for a reason that nothing explains. */
  unfitting(kind: Change['kind']): string[] {
    const fitting = [...codesOf[kind], ...ordinaryCodes];
    return this.answers(kind).filter((text) => !isCode(text, fitting));
  }

  /** What receivers of changes of this kind said when they closed, by connection. */
  private answers(kind: Change['kind']): string[] {
    const directions = new Map<number, Direction>();
    for (const change of this.changes) {
      if (change.kind === kind) directions.set(change.connection, change.direction);
    }
    return [...directions].flatMap(([connection, direction]) => {
      const isAnswer = (one: Closing): boolean =>
        one.connection === connection && one.direction !== direction;
      const answer = this.proxy.closings.find(isAnswer);
      return answer === undefined ? [] : [answer.text];
    });
  }

  private rewrite(message: ProxiedMessage): readonly Uint8Array[] {
    const stream = `${message.connection} ${message.direction}`;
    const late = this.held.get(stream);
    this.held.delete(stream);
    if (late !== undefined) {
      this.note('reorder', message);
      return [message.payload, late];
    }
    for (const fault of this.active) {
      if (fault.kind === 'delay' || fault.direction !== message.direction) continue;
      if (fault.reach === 'some' && this.prng.unit() >= someShare) continue;
      if (fault.kind === 'reorder') {
        this.held.set(stream, message.payload);
        return [];
      }
      this.note(fault.kind, message);
      return this.changed(fault.kind, message.payload);
    }
    return [message.payload];
  }

  private changed(kind: 'drop' | 'duplicate' | 'corrupt', payload: Buffer): readonly Uint8Array[] {
    switch (kind) {
      case 'drop':
        return [];
      case 'duplicate':
        return [payload, payload];
      case 'corrupt': {
        const at = this.prng.below(payload.length);
        payload.writeUInt8((payload[at] ?? 0) ^ (1 << this.prng.below(8)), at);
        return [payload];
      }
      default:
        return unreachable(kind);
    }
  }

  private note(kind: Change['kind'], { connection, direction }: ProxiedMessage): void {
    this.changes.push({ kind, connection, direction });
    this.count(kind);
  }

  private count(kind: FaultKind): void {
    this.counts.set(kind, this.struck(kind) + 1);
  }

  private delayMs({ reach }: FrameFault): number {
    this.count('delay');
    return reach === 'all' ? allDelayMs : 1 + this.prng.below(someDelayMsMax);
  }
}

function isCode(text: string, codes: readonly string[]): boolean {
  return codes.some((code) => text === code || text.startsWith(`${code} `));
}
