// SPDX-License-Identifier: Apache-2.0
//
// The part of the function `node` that node runs: one JSON request a line on standard input, one
// JSON reply a line on standard output.
//
//   {"documents": count, "seed": number, "large": bool}
//
// In whole numbers and the order of code units, so that the result does not depend on a version of
// node.
'use strict';

const crypto = require('crypto');
const readline = require('readline');

const WORDS = [
  'amber', 'basalt', 'cedar', 'delta', 'ember', 'fjord', 'garnet', 'harbour', 'island', 'juniper',
  'kestrel', 'lagoon', 'meadow', 'needle', 'orchard', 'pebble', 'quarry', 'river', 'saddle',
  'thicket', 'umber', 'valley', 'willow', 'yarrow', 'zephyr',
];
const WORDS_PER_DOCUMENT = 40;
const QUERIES = 50;

// Whole numbers below a limit, from a linear congruential generator.
function numbersFrom(seed) {
  let state = BigInt.asUintN(64, BigInt(seed) * 2654435761n + 12345n);
  return (limit) => {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n);
    return Number((state >> 33n) % BigInt(limit));
  };
}

function makeDocuments(count, next) {
  const documents = [];
  for (let number = 0; number < count; number++) {
    const words = [];
    for (let at = 0; at < WORDS_PER_DOCUMENT; at++) {
      words.push(`${WORDS[next(WORDS.length)]}${next(20)}`);
    }
    documents.push({number, title: words.slice(0, 3).join(' '), text: words.join(' ')});
  }
  return documents;
}

// The documents of each word, with how often it stands there.
function indexOf(documents) {
  const index = new Map();
  for (const {number, text} of documents) {
    for (const [word] of text.matchAll(/[a-z]+\d*/g)) {
      if (!index.has(word)) index.set(word, new Map());
      const found = index.get(word);
      found.set(number, (found.get(number) ?? 0) + 1);
    }
  }
  return index;
}

// The five documents that fit the words best.
function search(index, words) {
  const scores = new Map();
  for (const word of words) {
    for (const [number, count] of index.get(word) ?? []) {
      scores.set(number, (scores.get(number) ?? 0) + count);
    }
  }
  return [...scores].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, 5);
}

// Each document as a part of a page; the page goes through gzip and back.
function render(documents) {
  // Only here: a process that was warmed with a small input has never seen it.
  const zlib = require('zlib');
  const {StringDecoder} = require('string_decoder');
  const url = new URL('https://documents.example/list?page=1');
  const parts = documents.map(({number, title, text}) => {
    url.searchParams.set('document', `${number} ${title}`);
    const quoted = text.replace(/\d+/g, (digits) => `<b>${digits}</b>`);
    return `<li><a href="${url.href}">${title.toUpperCase()}</a><p>${quoted}</p></li>`;
  });
  const packed = zlib.gzipSync(Buffer.from(JSON.stringify(parts, null, 1)));
  return JSON.parse(new StringDecoder('utf8').end(zlib.gunzipSync(packed))).reverse().join('\n');
}

function answer({documents: count, seed, large}) {
  const next = numbersFrom(seed);
  const documents = makeDocuments(count, next);
  const index = indexOf(documents);
  const found = [];
  for (let query = 0; query < QUERIES; query++) {
    const words = [1, 2, 3].map(() => `${WORDS[next(WORDS.length)]}${next(20)}`);
    found.push({words, found: search(index, words)});
  }
  const digest = crypto.createHash('sha256').update(JSON.stringify(found));
  if (large) digest.update(render(documents));
  return {documents: count, words: index.size, sha256: digest.digest('hex')};
}

readline.createInterface({input: process.stdin}).on('line', (line) => {
  process.stdout.write(`${JSON.stringify(answer(JSON.parse(line)))}\n`);
});
