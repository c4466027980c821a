/** What the measurements use of the scenarios' harness. */
export { Stage } from './stage.ts';
export { joinWorld, kubectl, runCli, startLocalWorld, stopAllWorlds, type World } from './world.ts';
