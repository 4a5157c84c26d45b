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

export function merge(mine, theirs) {
  const merged = { ...mine };
  let changed = 0;
  for (const [id, mark] of Object.entries(theirs)) {
    if (!merged[id] || Date.parse(mark.t) > Date.parse(merged[id].t)) {
      changed += !merged[id] || merged[id].s !== mark.s ? 1 : 0;
      merged[id] = { s: mark.s, t: mark.t };
    }
  }
  return { merged, changed };
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

export function stateOf(id, marks, papers) {
  return marks[id] ? marks[id].s : papers[id] ? papers[id].status : "unread";
}

// The only function that counts: everything that shows a number asks it.  A skipped paper needs no more reading.
export function count(ids, marks, papers) {
  const known = ids.filter((id) => papers[id]);
  const states = known.map((id) => stateOf(id, marks, papers));
  return {
    total: known.length,
    read: states.filter((s) => s === "read").length,
    left: states.filter((s) => s === "unread" || s === "reading").length,
  };
}

export function nextIds(order, marks, papers, howMany) {
  const done = (id) => ["read", "skipped"].includes(stateOf(id, marks, papers));
  const open = order.filter((id) => !done(id) && papers[id].needs.every((need) => !papers[need] || done(need)));
  const begun = open.filter((id) => stateOf(id, marks, papers) === "reading");
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
  if (stateOf(id, marks, papers) === "reading") parts.push("you have begun it");
  const known = order.filter((need) => paper.needs.includes(need) && stateOf(need, marks, papers) === "read");
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

export class Store {
  constructor(base) {
    this.key = keyFor(base);
    this.persistent = true;
    this.before = null;
    this.marks = {};
    this.load();
  }

  load() {
    try {
      this.marks = clean(JSON.parse(localStorage.getItem(this.key)));
    } catch (error) {
      this.persistent = error instanceof SyntaxError;
    }
  }

  save(marks, undoable = true) {
    this.before = undoable ? this.marks : null;
    this.marks = marks;
    this.write();
  }

  undo() {
    if (this.before === null) return false;
    this.marks = this.before;
    this.before = null;
    this.write();
    return true;
  }

  write() {
    try {
      localStorage.setItem(this.key, JSON.stringify(this.marks));
      this.persistent = true;
    } catch {
      this.persistent = false;
    }
  }

  set(id, state) {
    this.save({ ...this.marks, [id]: { s: state, t: new Date().toISOString() } });
  }

  exported() {
    return JSON.stringify({ schema_version: 1, marks: this.marks }, null, 2) + "\n";
  }

  // Throws with a sentence for the reader; nothing changes then.
  imported(text, papers) {
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
    const { merged, changed } = merge(this.marks, theirs);
    this.save(renamed(merged, papers));
    return { changed, refused };
  }
}
