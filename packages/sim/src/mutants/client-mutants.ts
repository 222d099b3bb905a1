/** Bugs of the client and of the gateway that serves it: outcomes, retries, reads. */
import type { Mutant } from './mutant.js';

export const clientMutants: readonly Mutant[] = [
  {
    name: 'maybeCalledDefinite',
    breaks: 'A write that may have happened ends with an error that says it did not.',
    file: 'client/writes.js',
    edits: [{ fragment: 'isMaybe ||= result.isMaybe;', replacement: '' }],
  },
  {
    name: 'retryAsNewRequest',
    breaks: 'A retry carries another sequence than the attempt before.',
    file: 'client/writes.js',
    edits: [
      {
        fragment: 'session.ref(sequence)',
        replacement: 'session.ref(attempt === 0 ? sequence : session.begin())',
      },
    ],
  },
  {
    name: 'answeredWhileInUse',
    breaks: 'A client calls requests answered that it may still repeat.',
    file: 'client/sessions.js',
    edits: [
      {
        fragment: 'answeredBelow = least;',
        replacement: 'answeredBelow = this.lastSequence + 1;',
      },
    ],
  },
  {
    name: 'conditionJudgedAtProposal',
    breaks: 'A condition is judged when its write is proposed, not when it is applied.',
    file: 'node/gateway.js',
    edits: [
      {
        fragment: 'const { type } = decodeCommand(command);',
        replacement: `const decoded = decodeCommand(command);
        const { type } = decoded;
        if (type === 'write' && decoded.operations.every(({ condition }) => condition?.type === 'ifAbsent')) {
            const { epochVersion, operations } = decoded;
            const keys = operations.map(({ key }) => key);
            const found = this.answer(regionId, { type: 'get', epochVersion, keys, withValues: false });
            if (found.type === 'found' && found.records.every((record) => record === undefined))
                command = encodeCommand({
                    ...decoded,
                    operations: operations.map((each) => ({ ...each, condition: undefined })),
                });
        }`,
      },
    ],
  },
  {
    name: 'readWithoutLeader',
    breaks: 'A node that cannot reach the region’s leader answers a read from what it has.',
    file: 'node/gateway.js',
    edits: [
      {
        fragment: "if (point.kind !== 'ready')\n                throw hostError(regionId, point);",
        replacement:
          "if (point.kind !== 'ready' && point.kind !== 'notLeader')\n                throw hostError(regionId, point);",
      },
    ],
  },
];
