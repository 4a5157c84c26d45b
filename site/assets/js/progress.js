// Reading progress: pure functions on marks, and the one place that touches storage.
// A mark is {s: state, t: time}; marks is {paper id: mark}.

export const STATES = ["unread", "reading", "read", "skipped"];

export function keyFor(base) {
  return `kb:${new URL(base, location).pathname}:v1`;
}

export function isMark(value) {
  return (
    value !== null && typeof value === "object" && STATES.includes(value.s) &&
    typeof value.t === "string" && !Number.isNaN(Date.parse(value.t))
  );
}

// Keeps what is well formed; ids the list does not know are kept too, so that nothing is lost when a list shrinks.
export function clean(value) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return {};
  return Object.fromEntries(Object.entries(value).filter(([id, mark]) => /^[a-z0-9-]{1,64}$/.test(id) && isMark(mark)));
}

// The newer mark wins.
export function merge(mine, theirs) {
  const merged = { ...mine };
  for (const [id, mark] of Object.entries(theirs)) {
    if (!merged[id] || Date.parse(mark.t) > Date.parse(merged[id].t)) merged[id] = { s: mark.s, t: mark.t };
  }
  return merged;
}

// Marks under an id that a paper once had move to the id it has now.
export function renamed(marks, papers) {
  const moved = { ...marks };
  for (const [id, paper] of Object.entries(papers)) {
    for (const former of paper.former) {
      if (moved[former] && !papers[former]) {
        if (!moved[id] || Date.parse(moved[former].t) > Date.parse(moved[id].t)) moved[id] = moved[former];
        delete moved[former];
      }
    }
  }
  return moved;
}

// Marks are the reader's alone: what the list's owner has read is the owner's until the reader takes it over.
export function stateOf(id, marks) {
  return marks[id]?.s ?? "unread";
}

// The only function that counts: everything that shows a number asks it.  What is skipped needs no more reading: it is
// done, as what is read is.
export function count(ids, marks, papers) {
  const states = ids.filter((id) => papers[id]).map((id) => stateOf(id, marks));
  const read = states.filter((s) => s === "read").length;
  const skipped = states.filter((s) => s === "skipped").length;
  return { total: states.length, read, skipped, done: read + skipped, left: states.length - read - skipped };
}

// The same count in words, wherever it is said.
export function inWords({ total, read, skipped, done }) {
  return skipped ? `${done} of ${total} done, ${skipped} of them skipped` : `${read} of ${total} read`;
}

// Marks that would make the owner's reading the reader's own, for papers that the reader has not marked.
export function ownersMarks(marks, papers, now) {
  const taken = Object.entries(papers).filter(([id, paper]) => paper.status !== "unread" && !marks[id]);
  return Object.fromEntries(taken.map(([id, paper]) => [id, { s: paper.status, t: now }]));
}

export function nextIds(order, marks, papers, howMany) {
  const done = (id) => ["read", "skipped"].includes(stateOf(id, marks));
  const open = order.filter((id) => !done(id) && papers[id].needs.every((need) => !papers[need] || done(need)));
  const begun = open.filter((id) => stateOf(id, marks) === "reading");
  return [...begun, ...open.filter((id) => !begun.includes(id))].slice(0, howMany);
}

// Every paper that builds on one, directly or not, in reading order.
export function opened(id, order, papers) {
  const found = new Set([id]);
  for (const other of order) if (papers[other].needs.some((need) => found.has(need))) found.add(other);
  found.delete(id);
  return [...found];
}

// A paper and all that it builds on, directly or not.
export function closure(goal, papers) {
  const found = new Set();
  const visit = (id) => {
    if (found.has(id) || !papers[id]) return;
    found.add(id);
    papers[id].needs.forEach(visit);
  };
  visit(goal);
  return found;
}

// Why a paper stands on the way to a goal.
export function whyHere(id, goal, ids, papers) {
  if (id === goal) return papers[id].needs.length ? `The goal; it builds on ${namesOf(papers[id].needs, papers)}.` : "The goal itself.";
  const asks = [...ids].filter((other) => papers[other].needs.includes(id));
  return `Needed for ${namesOf(asks, papers)}.`;
}

// Marks as commands for a shell, one for each state.
export function commands(marks) {
  const of = (state) => Object.keys(marks).filter((id) => marks[id].s === state).sort();
  return STATES.filter((state) => of(state).length).map((state) => `kb status ${of(state).join(" ")} ${state}`).join("\n");
}

function namesOf(ids, papers) {
  return listed(ids.filter((id) => papers[id]).map((id) => papers[id].name));
}

function listed(names) {
  if (names.length > 3) return `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`;
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0];
}

// The sentence that `kb next` gives.
export function whyNext(id, order, marks, papers) {
  const paper = papers[id];
  const parts = [];
  if (stateOf(id, marks) === "reading") parts.push("you have begun it");
  const known = order.filter((need) => paper.needs.includes(need) && stateOf(need, marks) === "read");
  if (known.length) parts.push(`you have read ${listed(known.map((need) => papers[need].name))}`);
  else if (paper.kind === "tutorial") parts.push("a tutorial that asks for nothing");
  else if (paper.needs.length === 0) parts.push("it asks for nothing");
  const opens = opened(id, order, papers);
  if (opens.length) {
    const first = opens.filter((other) => papers[other].needs.includes(id)).map((other) => papers[other].name);
    parts.push(`it opens ${opens.length} paper${opens.length === 1 ? "" : "s"}, first ${listed(first)}`);
  } else if (paper.wr) parts.push(`worth reading ${paper.wr} of 3`);
  const words = parts.join("; ");
  return words ? `${words[0].toUpperCase()}${words.slice(1)}.` : "";
}

// What leads from one set of marks to another: the mark of each id that differs, null where there is none any more.
export function difference(before, after) {
  const ids = new Set([...Object.keys(before), ...Object.keys(after)]);
  const differs = [...ids].filter((id) => !same(before[id], after[id]));
  return Object.fromEntries(differs.map((id) => [id, after[id] ?? null]));
}

function same(one, other) {
  return (one?.s ?? null) === (other?.s ?? null) && (one?.t ?? null) === (other?.t ?? null);
}

function changed(marks, changes) {
  const after = { ...marks };
  for (const [id, mark] of Object.entries(changes)) {
    if (mark) after[id] = mark;
    else delete after[id];
  }
  return after;
}

// Other tabs write too.  So only changes are written, on what is stored at that moment, and Undo keeps this tab's last
// change and not a picture of all marks.  The change outlives a reload, as the marks do.
export class Store {
  constructor(base) {
    this.key = keyFor(base);
    this.persistent = true;
    this.marks = {};
    this.last = null; // { id: { was, now } }
    this.load();
    this.last = this.remembered();
    this.forgetIfStale();
  }

  // As they are stored now.  Marks that storage did not take (it refused, or was full) stay beside them.
  load() {
    let stored = {};
    try {
      stored = clean(JSON.parse(localStorage.getItem(this.key)));
    } catch (error) {
      this.persistent &&= error instanceof SyntaxError;
    }
    this.marks = this.persistent ? stored : merge(stored, this.marks);
    this.forgetIfStale();
  }

  // Applies {id: mark or null}.
  change(changes, undoable = true) {
    this.load();
    const last = Object.entries(changes).map(([id, now]) => [id, { was: this.marks[id] ?? null, now }]);
    this.marks = changed(this.marks, changes);
    this.last = undoable && last.length ? Object.fromEntries(last) : null;
    this.write();
  }

  // Whether there was something to take back, and nobody has written over it since.
  undo() {
    this.load();
    if (this.last === null) return false;
    this.marks = changed(this.marks, Object.fromEntries(Object.entries(this.last).map(([id, { was }]) => [id, was])));
    this.last = null;
    this.write();
    return true;
  }

  forgetIfStale() {
    const stale = Object.entries(this.last ?? {}).some(([id, { now }]) => !same(this.marks[id], now ?? undefined));
    if (stale) this.last = null;
  }

  write() {
    try {
      localStorage.setItem(this.key, JSON.stringify(this.marks));
      this.persistent = true;
    } catch {
      this.persistent = false;
    }
    try {
      sessionStorage.setItem(`${this.key}:last`, JSON.stringify(this.last));
    } catch {
      // Undo lasts as long as the page.
    }
  }

  remembered() {
    try {
      const last = JSON.parse(sessionStorage.getItem(`${this.key}:last`));
      const sound = Object.values(last ?? {}).every(({ was, now }) => [was, now].every((one) => one === null || isMark(one)));
      return last && sound ? last : null;
    } catch {
      return null;
    }
  }

  set(id, state) {
    this.change({ [id]: { s: state, t: new Date().toISOString() } });
  }

  exported() {
    return JSON.stringify({ schema_version: 1, marks: this.marks }, null, 2) + "\n";
  }

  // What a file of marks would change, as {changes, refused}.  Throws with a sentence for the reader.
  planned(text, papers) {
    let document;
    try {
      document = JSON.parse(text);
    } catch {
      throw new Error("That file is not JSON.");
    }
    if (document === null || document.schema_version !== 1 || typeof document.marks !== "object") {
      throw new Error("That file holds no marks of this site.");
    }
    const theirs = clean(document.marks);
    const refused = Object.keys(document.marks ?? {}).length - Object.keys(theirs).length;
    return { changes: difference(this.marks, renamed(merge(this.marks, theirs), papers)), refused };
  }
}
