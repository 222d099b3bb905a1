export { type Bug, bugs } from './bugs.js';
export { type FaultClass, type ProfileName, profileNames } from './profile.js';
export {
  type Failure,
  type SimulationOptions,
  type SimulationResult,
  simulate,
} from './simulate.js';
