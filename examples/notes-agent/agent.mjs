// A small agent of its own kind: an HTTP server that keeps what it is told in SQLite, in the folder that it runs in.
//
//     node agent.mjs --port 8080
//     curl -d 'buy milk' localhost:8080/notes; curl localhost:8080/notes; curl localhost:8080/healthz

import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { port: { type: 'string', default: '8080' } } });
const database = new DatabaseSync('notes.db', { timeout: 5000 });
database.exec(`
  PRAGMA journal_mode = WAL;
  CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL, made TEXT NOT NULL);
`);
const insert = database.prepare('INSERT INTO notes (text, made) VALUES (?, ?)');
const select = database.prepare('SELECT id, text, made FROM notes ORDER BY id');

const server = createServer((request, response) => {
  const answer = (status, value) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(value)}\n`);
  };
  if (request.url === '/healthz') {
    answer(200, { notes: select.all().length, pid: process.pid });
  } else if (request.url === '/notes' && request.method === 'GET') {
    answer(200, select.all());
  } else if (request.url === '/notes' && request.method === 'POST') {
    let text = '';
    request.setEncoding('utf8');
    request.on('data', (part) => (text += part));
    request.on('end', () => {
      const { lastInsertRowid } = insert.run(text, new Date().toISOString());
      answer(201, { id: Number(lastInsertRowid) });
    });
  } else {
    answer(404, { error: 'there is /notes and /healthz' });
  }
});

server.listen(Number(values.port), '127.0.0.1', () => console.log(`listening on port ${values.port}`));

process.once('SIGTERM', () => {
  console.log('ending');
  server.close(() => database.close());
});
