// Loads dist/main.js. In a file of its own, because a Node too old to know import() must still be able to read molt.cjs.
'use strict';

void import('../dist/main.js');
