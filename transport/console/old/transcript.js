// What is known of a chat: a fold of the answers and events of its room. It
// neither talks to the server nor to the page.
//
// Recorded messages are kept by message_id and shown in the order of seq. The
// running answer is text so far, until its recorded message replaces it.

export class Transcript {
  seq = 0; // the highest seen
  messages = new Map(); // recorded, by message_id
  running = null; // the answer that is being written
  #waiting = new Map(); // turns that have not started, by turn_id
  #epoch; // of the chat: another one under the same id has another
  stale = false; // the history has to be read: another branch was selected, or may have been
  #reading = false; // the history
  #branch = 0; // the last record that has changed the current branch

  clear() {
    this.messages.clear();
    this.#waiting.clear();
    this.running = null;
    this.seq = 0;
  }

  // join takes the answer to join_room.
  join({ seq, epoch, turn, queued, branch_seq = 0 }) {
    if (epoch !== this.#epoch) this.clear();
    if (branch_seq > this.#branch && this.messages.size > 0) this.stale = true;
    this.#branch = branch_seq;
    this.#epoch = epoch;
    this.seq = seq;
    this.running = turn && answer(turn);
    this.#waiting = new Map(queued.map((t) => [t.turn_id, waiting(t)]));
  }

  record(m) {
    if (m.replaces_seq) {
      this.#branch = Math.max(this.#branch, m.seq);
      this.#takeBack(m);
    }
    if (this.#reading) this.stale = true; // it may be of another branch than what is read
    if (this.running?.message_id === m.message_id) this.running = null;
    this.seq = Math.max(this.seq, m.seq);
    this.messages.set(m.message_id, { ...m, key: m.message_id });
  }

  // read takes the place of all messages: ask has the newest ones. What comes meanwhile may
  // be of another branch, so it asks again.
  async read(ask) {
    if (this.#reading) return;
    this.#reading = true;
    try {
      do {
        this.stale = false;
        const { messages } = await ask();
        this.#reading = false;
        if (!this.stale) {
          this.messages.clear();
          for (const m of messages) this.record(m);
        }
        this.#reading = this.stale;
      } while (this.stale);
    } catch (e) {
      this.stale = true; // what was dropped is still missing
      throw e;
    } finally {
      this.#reading = false;
    }
  }

  // #hear takes a message that was said just now. An answer to what is not shown is of
  // another branch. One that was given anew takes the place of the other versions, if it has
  // a text. If another branch was selected since it was wanted, it may belong to that.
  #hear(m) {
    if (m.role === "assistant") {
      const versions = [...this.messages.values()].filter((old) => m.first && [old.message_id, old.first].includes(m.first));
      const elsewhere = m.prompt && !this.messages.has(m.prompt);
      if (m.first && m.content && m.version < this.#branch) this.stale = true;
      if (elsewhere || this.stale || (m.first && !m.content) || versions.some((old) => old.version > m.version)) {
        this.stale ||= this.#reading;
        return this.#settle(m);
      }
      for (const old of versions) this.messages.delete(old.message_id);
    }
    this.record(m);
  }

  #settle({ message_id, seq }) {
    if (this.running?.message_id === message_id) this.running = null;
    this.seq = Math.max(this.seq, seq);
  }

  // #leave drops the messages from one on, with their answers.
  #leave(from, seq) {
    this.#branch = Math.max(this.#branch, seq);
    this.stale ||= this.#reading;
    for (const [id, old] of this.messages) if ((old.prompt_seq ?? old.seq) >= from) this.messages.delete(id);
  }

  // #takeBack drops what an edit is said instead of: the message, what followed
  // it, and their answers.
  #takeBack({ seq, replaces_seq }) {
    for (const [id, old] of this.messages) {
      if (old.seq < seq && (old.prompt_seq ?? old.seq) >= replaces_seq) this.messages.delete(id);
    }
  }

  // apply takes an event of the room; others are ignored. It returns false if a
  // piece of the running answer is missing.
  apply(word, body) {
    if (!this.#events[word]) return true;
    if (body.seq) this.seq = Math.max(this.seq, body.seq);
    return this.#events[word](body) ?? true;
  }

  #events = {
    message: ({ message }) => { this.#hear(message); },
    branch: ({ from, seq }) => { this.#leave(from, seq); this.stale = true; },
    turn: (t) => { this.#turn(t); },
    withdrawn: ({ message_id }) => { this.messages.delete(message_id); this.stale ||= this.#reading; },
    stream_start: (s) => { this.running = answer(s); },
    stream_chunk: (c) => this.#append("content", c),
    stream_thought: (c) => this.#append("thought", c),
    stream_error: (e) => { this.#failed(e); },
    stream_end: (e) => { this.#end(e); },
  };

  #turn({ turn_id, state, seq, by, reason, before, first, prompt_seq }) {
    if (first) this.#leave(prompt_seq + 1, seq); // an answer is to be given anew
    const turn = this.#waiting.get(turn_id);
    if (state === "queued") this.#queue(waiting({ turn_id, seq }), before);
    else if (state === "running") this.#waiting.delete(turn_id);
    else if (turn) this.#waiting.set(turn_id, { ...turn, seq, state, by, reason }); // it has no message
  }

  // #queue has a turn wait before another one, or last. It may have waited elsewhere.
  #queue(turn, before) {
    const others = [...this.#waiting.values()].filter((t) => t.turn_id !== turn.turn_id);
    const at = others.findIndex((t) => t.turn_id === before);
    const turns = others.toSpliced(at < 0 ? others.length : at, 0, turn);
    this.#waiting = new Map(turns.map((t) => [t.turn_id, t]));
  }

  // #append adds a piece of the answer, or of the thought before it, if it is the one
  // that comes next: offset counts UTF-16 code units, as length does. One at 0 replaces
  // what is there: the model was asked again, or the connection was lost.
  #append(part, { message_id, content, offset, done }) {
    if (done || this.messages.has(message_id)) return true;
    const r = this.running;
    if (r?.message_id !== message_id || (offset > 0 && r[part].length !== offset)) return false;
    this.running = { ...r, [part]: r[part].slice(0, offset) + content };
    return true;
  }

  #failed({ message_id, error, code }) {
    if (this.running?.message_id === message_id) this.running = { ...this.running, error: { code, message: error } };
  }

  #end({ message_id, seq, state, finish, usage }) {
    if (this.running?.message_id !== message_id) return; // its message has come, as it should
    this.record({ ...this.running, seq, state, finish, usage, timestamp: new Date().toISOString() });
  }

  // items lists all that is to be shown, in order; outgoing are messages that
  // are not recorded. A recorded message is the same object each time until
  // something about it changes.
  items(outgoing) {
    const turns = [...this.#waiting.values()];
    const ended = turns.filter((t) => t.state !== "queued");
    return [
      ...[...this.messages.values(), ...ended].sort((a, b) => a.seq - b.seq),
      ...outgoing,
      ...(this.running ? [this.running] : []),
      ...turns.filter((t) => t.state === "queued"),
    ];
  }
}

// answer is a running turn as an item.
function answer({ message_id, turn_id, model_id, content = "", thought = "" }) {
  return { key: message_id, message_id, turn_id, model_id, content, thought, role: "assistant", state: "running" };
}

// waiting is a turn that has not started as an item.
function waiting({ turn_id, seq }) {
  return { key: turn_id, turn_id, seq, role: "assistant", state: "queued" };
}
