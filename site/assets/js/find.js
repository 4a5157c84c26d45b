// What search understands and finds, without a page: the words of a reader, the index, the line of text that shows why.
import { fold } from "./dom.js";

export const SHOWN = 12;
const BOOST = { n: 6, t: 4, w: 3, a: 2 };
const KINDS = { paper: 1.8, survey: 1.5, tutorial: 1.5, topic: 1.1, method: 0.4 };
const FUZZY_FROM = 4; // letters: shorter words have too many neighbours
const CONTEXT = 60; // characters before and after the first word found

const parts = (word) => word.split(/[^\p{L}\p{N}.]+|\.(?!\d)/u).filter(Boolean);

// The words of a query.
export function tokens(text) {
  return fold(text).split(/\s+/).flatMap(parts);
}

// The words of a text, and those that a hyphen joins as one: vq-vae is found as vq, as vae and as vqvae.
export function indexed(text) {
  return fold(text).split(/\s+/).flatMap((word) => {
    const split = parts(word);
    return split.length > 1 ? [...split, split.join("")] : split;
  });
}

// An arXiv id as it is copied, with its prefix, address or version, is the bare id.
export function cleaned(words) {
  return words
    .replace(/(?:https?:\/\/)?(?:www\.)?arxiv\.org\/(?:abs|pdf|html)\/|\barxiv:?\s*(?=\d{4}\.\d)/gi, "")
    .replace(/\b(\d{4}\.\d{4,5})(?:v\d+)?(?:\.pdf)?\b/gi, "$1");
}

// The line of text where the first of `terms` stands, in pieces: [words, whether they were looked for].
export function context(text, terms) {
  const folded = [...text].map((letter) => fold(letter)[0] ?? letter).join("");
  if (folded.length !== text.length || terms.length === 0) return [];
  const escaped = [...terms].sort((a, b) => b.length - a.length).map((term) => term.replace(/[^\p{L}\p{N}]/gu, "\\$&"));
  const words = new RegExp(`(?<![\\p{L}\\p{N}])(?:${escaped.join("|")})(?![\\p{L}\\p{N}])`, "gu");
  const first = words.exec(folded);
  if (!first) return [];
  const from = Math.max(first.index - CONTEXT, 0);
  const start = from ? text.indexOf(" ", from) + 1 : 0;
  const cut = text.lastIndexOf(" ", first.index + first[0].length + CONTEXT);
  const end = text.length - first.index <= CONTEXT || cut <= first.index ? text.length : cut;
  const pieces = start ? [["… ", false]] : [];
  let last = start;
  words.lastIndex = start;
  for (let found = words.exec(folded); found && found.index < end; found = words.exec(folded)) {
    pieces.push([text.slice(last, found.index), false], [text.slice(found.index, found.index + found[0].length), true]);
    last = found.index + found[0].length;
  }
  pieces.push([text.slice(last, Math.max(end, last)), false]);
  if (end < text.length) pieces.push([" …", false]);
  return pieces.filter(([words]) => words);
}

const joined = (text) => fold(text).replace(/[^\p{L}\p{N}.]/gu, "");

// Whether a hit bears the very name that was typed: a paper's short name or id, the file of a method.
function isNamed(hit, words) {
  if (hit.k === "method") return hit.t.endsWith(`/${words.trim()}`);
  return hit.n.split("\n").some((name) => joined(name) === joined(words));
}

// The line that shows why a hit is there: of its reason to be read, else of its text.  Two letters are no reason.
export function reason(hit) {
  const shown = (field) => hit.terms.filter((term) => hit.match[term].includes(field)
    && !hit.queryTerms.some((typed) => typed.length < 3 && term !== typed && term.startsWith(typed)));
  const line = context(hit.w, shown("w"));
  return line.length ? line : context(hit.x, shown("x"));
}

// finder(words) is {hits, all}: all, whether each hit has every word.
export function finder(MiniSearch, docs) {
  const index = new MiniSearch({
    idField: "u", fields: ["t", "n", "a", "w", "x"], storeFields: ["t", "n", "a", "k", "w", "x"], tokenize: indexed,
    processTerm: (term) => term,
  });
  index.addAll(docs);
  const options = {
    boost: BOOST, tokenize: tokens, prefix: (term) => term.length > 1,
    fuzzy: (term) => (term.length >= FUZZY_FROM && !/\d/.test(term) ? 0.2 : false),
    boostDocument: (_id, _term, stored) => KINDS[stored.k] ?? 1,
  };
  return (typed) => {
    const words = cleaned(typed);
    const every = index.search(words, { ...options, combineWith: "AND" });
    const hits = every.length ? every : index.search(words, options);
    const first = hits.filter((hit) => isNamed(hit, words));
    const rest = hits.filter((hit) => !first.includes(hit));
    return { hits: [...first, ...rest].slice(0, SHOWN), all: every.length > 0 };
  };
}
