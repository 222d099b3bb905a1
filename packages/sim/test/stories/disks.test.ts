import { tellTheme } from './tell.js';

tellTheme('disks');
tellTheme('damage');
tellTheme('snapshots');
