import { tellTheme } from './tell.js';

tellTheme('elections');
tellTheme('safety');
tellTheme('reads');
tellTheme('clocks');
