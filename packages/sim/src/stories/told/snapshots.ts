/** Stories of replicas that are too far behind for the log: snapshots, and what interrupts them. */
import type { NodeId } from '@moku/base';
import type { Stage } from '../stage.js';
import { type Story, story } from '../story.js';

/** Logs are short, and nobody who is away holds them back. */
const options = {
  profile: { logKeepBytes: 1_000, flushMsMax: 200 },
  timings: { peerGoneMs: 1_000, housekeepingMs: 100 },
} as const;

/** How long a replica may take once it is reachable; a sender gives up later than that. */
const caughtUpMs = 8_000;

/** A follower that was away while the others wrote `bytes` and cut their logs; it is still down. */
async function leftBehind(
  s: Stage,
  bytes: number,
): Promise<{ leader: NodeId; away: NodeId; third: NodeId }> {
  const leader = await s.elected();
  const [away, third] = s.twoOthers(leader);
  await s.put('before');
  const index = s.see.lastIndex(away);
  s.crash(away);
  await s.advance(2_000);
  const values = 20;
  await s.load(values, Math.ceil(bytes / values));
  await s.put('meanwhile');
  const isCut = (node: number): boolean => (s.see.status(node)?.firstIndex ?? 0) > index + 1;
  await s.moment('the logs are cut', () => isCut(leader) && isCut(third));
  return { leader, away, third };
}

const small = 40_000;
/** Many chunks: the stream can be met half-way. */
const large = 4_000_000;

export const snapshots: readonly Story[] = [
  story('a node back after a long absence gets a snapshot', options, async (s) => {
    const { away } = await leftBehind(s, small);
    await s.advance(120_000);
    s.start(away);
    await s.moment('a snapshot comes', () => s.see.isInstalling(away), 5_000);
    await s.caughtUp(away, caughtUpMs);
    await s.rest();
  }),

  story('a node cut off for long gets a snapshot', options, async (s) => {
    const leader = await s.elected();
    const [away] = s.twoOthers(leader);
    s.links.isolate(away);
    await s.advance(5_000);
    await s.load(20, 2_000);
    await s.advance(2_000);
    s.links.heal();
    await s.moment('a snapshot comes', () => s.see.isInstalling(away), 5_000);
    await s.caughtUp(away, caughtUpMs);
  }),

  story('the leader dies while it sends a snapshot', options, async (s) => {
    const { leader, away, third } = await leftBehind(s, large);
    s.start(away);
    await s.moment('it comes', () => s.see.isInstalling(away), 5_000);
    s.crash(leader);
    await s.elected({ among: [third], withinElectionTimeouts: 8 });
    await s.caughtUp(away, caughtUpMs);
    await s.put('a', 5_000);
  }),

  story('the leadership passes on while a snapshot is sent', options, async (s) => {
    const { away, third } = await leftBehind(s, large);
    s.start(away);
    await s.moment('it comes', () => s.see.isInstalling(away), 5_000);
    s.expect(s.transfer(third), () => 'refused');
    await s.elected({ among: [third] });
    await s.caughtUp(away, caughtUpMs);
    await s.put('a', 5_000);
  }),

  story(
    'a new leader offers its snapshot while the old one waits for the engine',
    {
      ...options,
      profile: { ...options.profile, flushMsMax: 20_000 },
    },
    async (s) => {
      const { leader, away, third } = await leftBehind(s, small);
      s.start(away);
      await s.moment('it comes', () => s.see.isInstalling(away), 5_000);
      await s.advance(50);
      s.expect(s.see.isInstalling(away), () => 'the engine was too fast');
      s.crash(leader);
      // Its quorum is the very follower that installs.
      await s.elected({ among: [third], withinElectionTimeouts: 8 });
      s.expect(s.see.isInstalling(away), () => 'the engine was faster than the election');
      const pending = s.calls.put('a');
      await s.moment('the engine has it', () => !s.see.isInstalling(away), 30_000);
      await s.caughtUp(away, 3_000);
      await s.ok(pending, 3_000);
    },
  ),

  story('the link breaks while a snapshot is sent', options, async (s) => {
    const { leader, away } = await leftBehind(s, large);
    s.start(away);
    for (let round = 0; round < 3; round++) {
      await s.moment('it comes', () => s.see.isInstalling(away), 10_000);
      s.links.reset(leader, away);
      await s.advance(20);
    }
    await s.caughtUp(away, caughtUpMs + 10_000);
  }),

  story('the receiver dies while it takes a snapshot', options, async (s) => {
    const { away } = await leftBehind(s, large);
    s.start(away);
    for (let round = 0; round < 3; round++) {
      await s.moment('it comes', () => s.see.isInstalling(away), 10_000);
      s.restart(away);
    }
    await s.caughtUp(away, caughtUpMs + 10_000);
  }),

  story('the receiver stands still while it takes a snapshot', options, async (s) => {
    const { away } = await leftBehind(s, large);
    s.start(away);
    await s.moment('it comes', () => s.see.isInstalling(away), 5_000);
    s.pause(away, 30_000);
    await s.put('a', 2_000);
    await s.advance(30_000);
    await s.caughtUp(away, caughtUpMs + 10_000);
  }),

  story('a write asked for again after a snapshot is not applied again', options, async (s) => {
    const { leader, away, third } = await leftBehind(s, small);
    await s.ok(s.calls.putOnce());
    const index = s.see.lastIndex(leader) + 1;
    const pending = s.calls.putOnce();
    await s.moment('it is in the log', () => s.see.lastIndex(leader) >= index);
    // No answer gets through until the node that came by snapshot is needed for a quorum.
    s.cluster.disturbance.clientLossChance = 1;
    s.start(away);
    await s.caughtUp(away, caughtUpMs);
    s.crash(leader);
    await s.elected({ among: [away, third], withinElectionTimeouts: 8 });
    s.cluster.disturbance.clientLossChance = 0;
    await s.ok(pending, 30_000);
  }),

  story('a long log is caught up in few messages', {}, async (s) => {
    const leader = await s.elected();
    const [away] = s.twoOthers(leader);
    s.links.isolate(away);
    const entries = 300;
    await s.load(entries, 200);
    s.links.heal();
    const before = s.sent.messages({ region: 1, type: 'append', to: away });
    await s.caughtUp(away, 5_000);
    const appends = s.sent.messages({ region: 1, type: 'append', to: away }) - before;
    s.expect(appends <= 20, () => `${appends} appends for ${entries} entries`);
  }),
];
