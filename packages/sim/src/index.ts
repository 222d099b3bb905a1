export { checkFloors, countHistory, type HistoryCounts } from './check/floors.js';
export { formatHistory, type HistoryEvent, parseHistory } from './check/history.js';
export type { Json, OperationName } from './check/history-values.js';
export {
  checkLinearizable,
  type LinearizabilityOptions,
  type LinearizabilityReport,
} from './check/linearizable.js';
export {
  type Anomaly,
  type AnomalyName,
  checkListAppend,
  type ListAppendReport,
} from './check/list-append.js';
export { HistoryRecorder, type OpenOperation } from './check/recorder.js';
export { type Verdict, worstOf } from './check/verdict.js';
export type { FaultClass } from './faults/classes.js';
export { seedProcessFlags } from './processes/seed-process.js';
export type { Failure } from './run/cluster.js';
export { type ProfileName, profileNames } from './run/profile.js';
export {
  type SimulationOptions,
  type SimulationResult,
  simulate,
} from './run/simulate.js';
export { Machine, MachineRoom } from './sql/machine.js';
export type { Remains } from './sql/sectors.js';
export { type Actor, logLinks, type Pace, writerLinks } from './sql/threads.js';
export { themes } from './stories/all.js';
export {
  type Story,
  type StoryOptions,
  type StoryResult,
  seedsOf,
  story,
  tellStory,
} from './stories/story.js';
