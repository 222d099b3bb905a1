#!/usr/bin/env node
// Stands in the repository, so that an installation finds it before the first build.
import '../dist/cli/main.js';
