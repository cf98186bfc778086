#!/usr/bin/env node
// Starts molt: checks that this Node is new enough, keeps compiled code between runs, and hands over to dist/main.js.
// Written in ES5, because an old Node must be able to read it in order to say what is wrong.
'use strict';

var fs = require('fs');
var os = require('os');
var path = require('path');

var MINIMUM = [24, 16];
var ROOT = path.dirname(__dirname);
var MAIN = path.join(ROOT, 'dist', 'main.js');
// Only a checkout of the project has this folder: its development dependencies bring a Node of their own.
var IS_CHECKOUT = fs.existsSync(path.join(ROOT, 'tools', 'node', 'package.json'));

/** Says whether a version such as 24.16.0 is at least the minimum. */
function isNewEnough(version) {
  var parts = version.split('.');
  var major = Number(parts[0]);
  return major > MINIMUM[0] || (major === MINIMUM[0] && Number(parts[1]) >= MINIMUM[1]);
}

/** Prints why molt can't start and what helps, and makes the process end with status 1. */
function refuse(problem, advice) {
  process.stderr.write('molt: ' + problem + '\n' + advice + '\n');
  process.exitCode = 1;
}

/**
 * Runs this file again under another Node and ends as it ends. Signals are passed on, so that a supervisor that knows
 * only this process can still stop molt cleanly.
 */
function runUnder(node) {
  var child = require('child_process').spawn(node, process.argv.slice(1), { stdio: 'inherit' });
  var onTerminal = require('tty').isatty(0);
  ['SIGINT', 'SIGTERM', 'SIGHUP'].forEach(function (signal) {
    process.on(signal, function () {
      // A terminal sends its interrupt to both processes; passing it on would make it two.
      if (signal !== 'SIGINT' || !onTerminal) child.kill(signal);
    });
  });
  child.on('error', function (error) {
    refuse('cannot run ' + node + ' (' + error.code + ')', 'Run `npm ci` in ' + ROOT + '.');
  });
  child.on('exit', function (status, signal) {
    if (signal) {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    } else {
      process.exitCode = status;
    }
  });
}

/**
 * Returns a folder for compiled code that nobody else can write to, or undefined. Compiled code is run without being
 * checked against its source, so Node's own default, one folder in /tmp that any user may create first, will not do;
 * and it must not lie where an agent's state could be, so the home folder will not do either.
 */
function findCompileCache() {
  if (process.env.NODE_COMPILE_CACHE) return process.env.NODE_COMPILE_CACHE;
  var user = process.getuid ? process.getuid() : undefined;
  var folder = path.join(os.tmpdir(), 'molt-compile-cache' + (user === undefined ? '' : '-' + user));
  try {
    fs.mkdirSync(folder, { recursive: true, mode: 448 }); // 0700
    var stat = fs.lstatSync(folder);
    var isPrivate = user === undefined || (stat.uid === user && (stat.mode & 63) === 0); // 63 is 0077
    return stat.isDirectory() && isPrivate ? folder : undefined;
  } catch (_) {
    return undefined;
  }
}

function start() {
  var folder = findCompileCache();
  if (folder !== undefined) require('module').enableCompileCache(folder);
  require('./load.cjs');
}

if (isNewEnough(process.versions.node)) {
  if (fs.existsSync(MAIN)) start();
  else if (IS_CHECKOUT) refuse('this checkout is not built yet', 'Run `npm run build` in ' + ROOT + '.');
  else refuse('the installation is incomplete: ' + MAIN + ' is missing', 'Remove it and install it again.');
} else {
  var own = path.join(ROOT, 'node_modules', '.bin', 'node');
  if (IS_CHECKOUT && fs.existsSync(own) && fs.realpathSync(own) !== process.execPath) {
    runUnder(own);
  } else {
    refuse(
      'needs Node ' + MINIMUM.join('.') + ' or newer, but this is Node ' + process.versions.node,
      'Install it from https://nodejs.org/en/download, or with a version manager: `nvm install 24`.',
    );
  }
}
