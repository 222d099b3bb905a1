import { tellTheme } from './tell.js';

tellTheme('links');
tellTheme('clients');
tellTheme('rest');
tellTheme('manyRegions');
