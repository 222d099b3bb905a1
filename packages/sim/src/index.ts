export { type Planned, Scheduler } from './scheduler.js';
