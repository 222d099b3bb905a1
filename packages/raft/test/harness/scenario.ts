/**
 * Scenario scripts: files in which lines starting with `> ` are commands, lines indented by two spaces
 * the trace of the command above, everything else prose. Running a script gives the file as it should
 * be; a test compares it with the file as it is.
 *
 * Commands (N, M: replica ids; any command may be preceded by `quietly`, which leaves its trace out):
 *   nodes N… [learners N…] [election ticks] [heartbeat ticks] [limit name value]…   the group; first command
 *   add N                     a replica that was told nothing yet
 *   tick N [times] · campaign N · propose N text · propose N 100b · read N context · transfer N M
 *   conf N [add M|learner M|remove M]… [joint|explicit] · conf N leave
 *   turn N…                   takes a Ready: writes, sends, applies
 *   sync N… | sync N *k       the disk syncs everything, or the k oldest batches
 *   deliver|drop|repeat [N>M]…    every message under way (on these ways) arrives, is lost, arrives and stays
 *   stabilize [N…]            turns, syncs, deliveries and installations until all is quiet
 *   elect N                   campaign N and stabilize
 *   cut N>M… · isolate N · heal
 *   crash N [kept] · restart N · checkpoint N · compact N index · install N · report N M ok|failed
 *   attach N · detach N · forget N… (both: it no longer believes in its leader)
 *   silent N M · heard N M · reset N M · probe N M · stepdown N
 *   evict N · fetch N
 *   status [N…] · logs [N…] · progress N
 */
import { assert, emptyBytes, type ReplicaId, utf8 } from '@moku/base';
import type { ConfChangeStep, ConfTransition, Message, ProposeResult } from '../../src/index.js';
import { Group, type GroupOptions } from './group.js';
import { regionId, type TestNode } from './test-node.js';
import { progressText, stateText, TextTrace } from './trace.js';

/** Runs the script in `text`; returns the file with its traces as they are now. */
export function runScenario(text: string): string {
  const run = new ScenarioRun();
  const out: string[] = [];
  const lines = text.replace(/\n+$/, '').split('\n');
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!;
    if (line.startsWith('  ')) continue;
    out.push(line);
    if (!line.startsWith('> ')) continue;
    try {
      for (const said of run.command(line.slice(2))) out.push(`  ${said}`);
    } catch (cause) {
      throw new Error(`line ${i + 1}: ${line}: ${String(cause)}`, { cause });
    }
  }
  return `${out.join('\n')}\n`;
}

type Command = (run: ScenarioRun, words: string[]) => void;

class ScenarioRun {
  readonly trace: TextTrace = new TextTrace();
  private made: Group | undefined = undefined;

  get group(): Group {
    assert(this.made !== undefined, 'the first command is nodes');
    return this.made;
  }

  /** Executes one line; returns what it said. */
  command(line: string): readonly string[] {
    const words = line.split(/\s+/).filter((word) => word !== '');
    const isQuiet = words[0] === 'quietly';
    const name = words[isQuiet ? 1 : 0]!;
    const run = commands[name];
    assert(run !== undefined, `there is a command ${name}`);
    this.trace.lines = [];
    this.trace.isQuiet = isQuiet;
    run(this, words.slice(isQuiet ? 2 : 1));
    return this.trace.lines;
  }

  say(line: string): void {
    this.trace.say(line);
  }

  make(voters: number[], learners: number[], options: GroupOptions): void {
    this.made = new Group(voters, learners, options);
    this.made.trace = this.trace;
    for (const node of this.made.nodes) this.made.touched(node);
  }

  node(word: string | undefined): TestNode {
    return this.group.node(Number(word));
  }

  /** The nodes named, or all. */
  nodes(words: string[]): readonly TestNode[] {
    return words.length === 0 ? this.group.nodes : words.map((word) => this.node(word));
  }

  /** Does something to a running node. */
  act(node: TestNode, action: () => void): void {
    assert(!node.isDown, `${node.id} runs`);
    action();
    this.group.touched(node);
  }

  proposed(node: TestNode, propose: () => ProposeResult): void {
    this.act(node, () => {
      const result = propose();
      if (result.kind === 'accepted') return;
      this.say(result.kind === 'busy' ? 'busy' : `not leader, leader is ${result.leaderId}`);
    });
  }

  /** Takes the messages on the ways named (all by default) out of the network. */
  take(ways: string[]): Message[] {
    const taken: Message[] = [];
    const rest: Message[] = [];
    for (const message of this.group.network) {
      const isNamed = ways.length === 0 || ways.includes(`${message.from}>${message.to}`);
      (isNamed ? taken : rest).push(message);
    }
    this.group.network = rest;
    return taken;
  }
}

const commands: Record<string, Command> = {
  nodes: (run, words) => makeGroup(run, words),
  add: (run, [id]) => {
    run.group.touched(run.group.add(Number(id)));
  },
  tick: (run, [id, times]) => run.group.tick(run.node(id), Number(times ?? 1)),
  campaign: (run, [id]) => {
    const node = run.node(id);
    run.act(node, () => node.raft.campaign());
  },
  elect: (run, [id]) => {
    commands['campaign']!(run, [id!]);
    run.group.stabilize();
  },
  propose: (run, [id, ...words]) => {
    const node = run.node(id);
    const text = words.join(' ');
    const bytes = /^(\d+)b$/.exec(text);
    const data = bytes === null ? utf8(text) : new Uint8Array(Number(bytes[1])).fill(120);
    run.proposed(node, () => node.raft.propose(data));
  },
  conf: (run, words) => changeConf(run, words),
  read: (run, [id, context]) => {
    const node = run.node(id);
    run.act(node, () => {
      const result = run.group.read(node, Number(context));
      if (result !== 'accepted') run.say(result);
    });
  },
  transfer: (run, [id, to]) => {
    const node = run.node(id);
    run.act(node, () => {
      if (!node.raft.transferLeader(Number(to) as ReplicaId)) run.say('refused');
    });
  },
  turn: (run, words) => {
    for (const node of run.nodes(words)) run.group.turn(node);
  },
  sync: (run, words) => {
    const batches = /^\*(\d+)$/.exec(words[words.length - 1] ?? '');
    if (batches === null) for (const node of run.nodes(words)) run.group.sync(node);
    else run.group.sync(run.node(words[0]), Number(batches[1]));
  },
  deliver: (run, ways) => {
    for (const message of run.take(ways)) run.group.deliver(message);
  },
  drop: (run, ways) => {
    for (const message of run.take(ways)) run.trace.dropped(message, 'dropped');
  },
  repeat: (run, ways) => {
    const messages = run.take(ways);
    run.group.network.push(...messages);
    for (const message of messages) run.group.deliver(message);
  },
  stabilize: (run, words) => run.group.stabilize(run.nodes(words)),
  cut: (run, ways) => {
    for (const way of ways) {
      const [from, to] = way.split('>');
      run.group.cut(Number(from), Number(to));
    }
  },
  isolate: (run, [id]) => run.group.isolate(Number(id)),
  heal: (run) => run.group.heal(),
  crash: (run, [id, kept]) => run.group.crash(run.node(id), Number(kept ?? 0)),
  restart: (run, [id]) => run.group.restart(run.node(id)),
  checkpoint: (run, [id]) => run.node(id).checkpoint(),
  compact: (run, [id, index]) => {
    run.node(id).checkpoint();
    if (!run.node(id).compact(Number(index))) run.say('refused');
  },
  install: (run, [id]) => {
    if (!run.group.install(run.node(id))) run.say('of no use');
  },
  report: (run, [id, to, outcome]) => {
    const node = run.node(id);
    run.act(node, () => node.raft.reportSnapshot(Number(to) as ReplicaId, outcome === 'ok'));
  },
  attach: (run, [id]) => attach(run, id, true),
  detach: (run, [id]) => attach(run, id, false),
  forget: (run, words) => {
    for (const word of words) {
      attach(run, word, true);
      attach(run, word, false);
    }
  },
  silent: (run, [id, peer]) => setSilent(run, id, peer, true),
  heard: (run, [id, peer]) => setSilent(run, id, peer, false),
  reset: (run, [id, peer]) => {
    const node = run.node(id);
    run.act(node, () => node.raft.peerReset(Number(peer) as ReplicaId));
  },
  probe: (run, [id, peer]) => {
    const node = run.node(id);
    run.act(node, () => node.raft.probe(Number(peer) as ReplicaId));
  },
  stepdown: (run, [id]) => {
    const node = run.node(id);
    run.act(node, () => node.raft.stepDown());
  },
  evict: (run, [id]) => run.node(id).store.evict(regionId),
  fetch: (run, [id]) => {
    const node = run.node(id);
    run.act(node, () => node.store.fetch());
  },
  status: (run, words) => {
    for (const node of run.nodes(words)) {
      run.say(`${node.id}: ${node.isDown ? 'down' : stateText(node)}`);
    }
  },
  logs: (run, words) => {
    for (const node of run.nodes(words)) run.say(`${node.id}: ${node.logText()}`);
  },
  progress: (run, [id]) => {
    for (const line of progressText(run.node(id))) run.say(line);
  },
};

function makeGroup(run: ScenarioRun, words: string[]): void {
  const voters: number[] = [];
  const learners: number[] = [];
  const limits: Record<string, number> = {};
  const options: { electionTicks?: number; heartbeatTicks?: number } = {};
  let list = voters;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === 'learners') list = learners;
    else if (word === 'election') options.electionTicks = Number(words[++i]);
    else if (word === 'heartbeat') options.heartbeatTicks = Number(words[++i]);
    else if (word === 'limit') limits[words[++i]!] = Number(words[++i]);
    else list.push(Number(word));
  }
  run.make(voters, learners, { ...options, limits });
}

function changeConf(run: ScenarioRun, [id, ...words]: string[]): void {
  const node = run.node(id);
  const steps: ConfChangeStep[] = [];
  let transition: ConfTransition = 'auto';
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === 'leave') break;
    if (word === 'joint') transition = 'jointAutoLeave';
    else if (word === 'explicit') transition = 'jointExplicit';
    else {
      const replicaId = Number(words[++i]) as ReplicaId;
      if (word === 'add') steps.push({ type: 'addVoter', replicaId });
      else if (word === 'learner') steps.push({ type: 'addLearner', replicaId });
      else steps.push({ type: 'remove', replicaId });
    }
  }
  run.proposed(node, () => {
    try {
      return node.raft.proposeConfChange({ steps, context: emptyBytes, transition });
    } catch (error) {
      run.say(error instanceof Error ? error.message : String(error));
      return { kind: 'accepted', index: 0, term: 0 };
    }
  });
}

function attach(run: ScenarioRun, id: string | undefined, isAttached: boolean): void {
  const node = run.node(id);
  run.act(node, () => node.raft.setAttached(isAttached));
}

function setSilent(
  run: ScenarioRun,
  id: string | undefined,
  peer: string | undefined,
  isSilent: boolean,
): void {
  const node = run.node(id);
  run.act(node, () => node.raft.setPeerSilent(Number(peer) as ReplicaId, isSilent));
}
