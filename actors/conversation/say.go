package conversation

import (
	"cmp"
	"slices"

	"parlor/protocol/chat"
)

// A Plan is what is about to be said, and what becomes of the open turns.
type Plan struct {
	chat.MessageAdded
	models      []chat.ModelID // who is to answer, in this order
	ends        []chat.Event   // of turns, with what follows from them; recorded before the message
	before      chat.TurnID    // the waiting turn before which the new ones run; empty: they run last
	correlation string
	quiet       bool // no answer is wanted yet
	spoken      bool // the message is not written down yet
}

// A Said is a message in its place in the log.
type Said struct {
	MessageID chat.MessageID
	ClientID  chat.ClientID
	Seq       uint64
	Begun     bool // a turn answers it, or has done so
}

// An Utterance is what somebody wants to say.
type Utterance struct {
	By          chat.User
	Content     string
	ModelID     chat.ModelID // empty: the chat's
	Addressed   chat.ModelID // see [chat.Say]
	ClientID    chat.ClientID
	Correlation string
	Origin      string      // see [chat.MessageAdded]
	Policy      chat.Policy // empty: the chat's

	// Question returns the message that the running turn answers, for a policy that
	// takes its place.
	Question func(chat.Turn) (chat.Message, *chat.Error)

	Parent chat.MessageID // see [chat.MessageAdded]

	Answer    *bool // whether an answer is wanted; nil: as the chat says
	Files     []chat.File
	OnlyTools []string // see [chat.MessageAdded]
	Choice    chat.ToolChoice
	Tools     []chat.OfferedTool // of the program that asks

	After *chat.Message // that it follows, see [chat.Say]; nil: the end of the current branch
}

// Say plans a message, or refuses it.
func (m Moment) Say(u Utterance) (*Plan, *chat.Error) {
	p, refusal := m.compose(u)
	if refusal == nil {
		p.correlation = u.Correlation
		policy := m.policy(u.Policy)
		if u.After != nil {
			if p.ends, refusal = m.goOn(*u.After, u.By.ID); refusal != nil {
				return nil, refusal
			}
			policy = chat.PolicyQueue // a turn of another branch has nothing to do with it
		}
		if policy == chat.PolicyRollback && !p.quiet {
			return p, m.rollBack(p, u)
		}
		refusal = m.place(p, policy, u.By.ID)
	}
	return p, refusal
}

// rollBack has the message take the place of the one that the running turn answers. If
// that is another user's the message interrupts, and if no turn runs it waits like any
// other.
func (m Moment) rollBack(p *Plan, u Utterance) *chat.Error {
	turn, open := m.Turn()
	switch {
	case !open || turn.Attempt == 0:
		return m.place(p, chat.PolicyQueue, u.By.ID)
	case turn.By != u.By.ID || turn.Unheard:
		return m.place(p, chat.PolicyInterrupt, u.By.ID)
	}
	old, refusal := u.Question(turn)
	switch {
	case refusal != nil:
		return refusal
	case m.editable(old, u.By.ID) != nil:
		return m.place(p, chat.PolicyInterrupt, u.By.ID)
	}
	if spent := cmp.Or(m.affords(u.By.ID, p.models), m.branched()); spent != nil {
		return spent
	}
	m.replace(p, old, u.By.ID)
	p.RolledBack = true
	return m.fits(p)
}

// replace has the message take the place of the old one, and of all that followed that.
func (m Moment) replace(p *Plan, old chat.Message, by chat.UserID) {
	p.Replaces, p.ReplacesSeq = old.ID, old.Seq
	p.ends = m.supersede(old.Seq, by)
}

// Edit plans a message that replaces the caller's old one, which is record seq.
func (m Moment) Edit(u Utterance, old chat.Message) (*Plan, *chat.Error) {
	if u.Files == nil {
		u.Files = old.Files
	}
	u.OnlyTools = old.OnlyTools
	p, refusal := m.compose(u)
	if refusal == nil {
		refusal = cmp.Or(m.editable(old, u.By.ID), m.branched())
	}
	if refusal == nil && !p.quiet {
		refusal = m.affords(u.By.ID, p.models)
	}
	if refusal != nil {
		return nil, refusal
	}
	m.replace(p, old, u.By.ID)
	return p, m.fits(p)
}

// Respond plans the answer to a message that was said before and wanted none.
// It cannot steer any more. What was spoken to a model and is not written down yet has
// no content: nobody knows whom it addresses. Without spokenTo it was written.
func (m Moment) Respond(by chat.UserID, last Said, content string, spokenTo chat.ModelID, alone bool) (*Plan, *chat.Error) {
	if !m.Branches.Shows(last.Seq) {
		return nil, ErrSuperseded
	}
	p := &Plan{MessageAdded: chat.MessageAdded{MessageID: last.MessageID}, spoken: spokenTo != ""}
	policy := m.policy("")
	if policy == chat.PolicySteer || policy == chat.PolicyMerge || policy == chat.PolicyRollback || alone {
		policy = chat.PolicyQueue
	}
	if p.models = []chat.ModelID{spokenTo}; !p.spoken {
		a := m.addresses(content)
		if refusal := a.refusal(); refusal != nil {
			return nil, refusal
		}
		p.models = a.modelsOr(m.Chat.ModelID)
	}
	return p, m.place(p, policy, by)
}

// compose makes a message of what a user says, if that can be said.
func (m Moment) compose(u Utterance) (*Plan, *chat.Error) {
	if u.ModelID == "" {
		u.ModelID = m.Chat.ModelID
	}
	asked, known := m.Models.Model(u.ModelID)
	switch {
	case !known:
		return nil, m.NoModel(u.ModelID)
	case len(u.Content) > m.MaxMessageBytes:
		return nil, TooLong(len(u.Content), m.MaxMessageBytes)
	}
	a := m.addresses(u.Content)
	if u.Addressed != "" {
		answers, known := m.Models.Model(u.Addressed)
		if !known {
			return nil, m.NoModel(u.Addressed)
		}
		a.models = []chat.ModelID{answers.ID}
	}
	quiet := !m.wanted(u.Answer, a)
	return &Plan{models: a.modelsOr(u.ModelID), quiet: quiet, MessageAdded: chat.MessageAdded{
		MessageID: chat.MessageID(m.NewID()), Content: u.Content, ClientID: u.ClientID, Parent: u.Parent,
		Author:  chat.User{ID: u.By.ID, Name: u.By.Name}, // members see no more of each other
		ModelID: u.ModelID, Duplex: asked.Duplex(), Origin: u.Origin, Mentions: a.members, Unasked: quiet, Files: u.Files, OnlyTools: u.OnlyTools, ToolChoice: u.Choice, Tools: u.Tools,
	}}, a.refusal()
}

// wanted reports whether an answer is wanted to a message: as its sender says, or else as
// the chat does.
func (m Moment) wanted(answer *bool, a addressees) bool {
	switch {
	case answer != nil:
		return *answer
	case m.Chat.Answers == chat.AnswerMentioned:
		return len(a.models) > 0
	}
	return m.Chat.Answers != chat.AnswerNone
}

// policy is what becomes of a message that wants an answer while a turn runs.
func (m Moment) policy(asked chat.Policy) chat.Policy {
	for _, p := range []chat.Policy{asked, m.Chat.Policy} {
		if p != "" {
			return p
		}
	}
	return m.TurnPolicy
}

// place decides by the policy what a message that wants answers does to the open
// turns. A message that cannot steer is queued: it may be for another model than
// the one that answers now, or be one too many.
func (m Moment) place(p *Plan, policy chat.Policy, by chat.UserID) *chat.Error {
	if p.quiet {
		return nil
	}
	if spent := m.affords(by, p.models); spent != nil {
		return spent
	}
	turn, open := m.Turn()
	switch {
	case !open:
	case policy == chat.PolicyReject:
		return ErrRejected
	case policy == chat.PolicyInterrupt:
		m.makeWay(p, turn, by)
	case policy == chat.PolicyMerge:
		m.merge(p, by)
	case policy == chat.PolicySteer && turn.Attempt > 0 && slices.Equal(p.models, []chat.ModelID{turn.ModelID}) &&
		len(m.Steering) < m.MaxQueuedTurns && m.here(turn):
		p.Steers = turn.ID
		return nil
	}
	return m.fits(p)
}

// here reports whether the turn answers a message of the current branch. One that is not
// written down yet will be.
func (m Moment) here(t chat.Turn) bool { return t.PromptSeq == 0 || m.Branches.Shows(t.PromptSeq) }

// affords returns why the user may not have any of the models asked, or nil.
func (m Moment) affords(user chat.UserID, models []chat.ModelID) *chat.Error {
	for _, model := range models {
		if spent := m.Afford(m.Chat.Room, user, model); spent != nil {
			return spent
		}
	}
	return nil
}

// fits returns why the turns that the message wants are too many, or nil.
func (m Moment) fits(p *Plan) *chat.Error {
	open := len(m.Turns)
	if !p.quiet {
		open += len(p.models)
	}
	for _, e := range p.ends {
		switch e.(type) {
		case chat.TurnQueued:
			open++
		case chat.TurnEnded:
			open--
		}
	}
	if open > m.MaxQueuedTurns {
		return ErrBusy
	}
	return nil
}

// makeWay ends the running turn, so that the message is answered next, and with it
// what was said to that turn. The turns that wait go on waiting.
func (m Moment) makeWay(p *Plan, turn chat.Turn, by chat.UserID) {
	p.before = m.waiting()
	if turn.Attempt > 0 {
		end := m.stopped(turn, by, "interrupted by a new message")
		p.ends = m.endCalls(&end)
		p.ends = append(p.ends, end)
	}
}

// merge has the message answered in the place of the last one of its author that still
// waits for the same models: the answer is to both.
func (m Moment) merge(p *Plan, by chat.UserID) {
	for i, t := range slices.Backward(m.Turns) {
		if t.Attempt > 0 || t.By != by || t.Begun || t.Unheard || !m.here(t) || !slices.Equal(p.models, []chat.ModelID{t.ModelID}) {
			continue
		}
		if i+1 < len(m.Turns) {
			p.before = m.Turns[i+1].ID
		}
		p.ends = []chat.Event{m.stopped(t, by, "answered together with a newer message")}
		return
	}
}

// Ends returns the ends of turns that the plan holds.
func (p *Plan) Ends() []chat.Event { return p.ends }

// Models are those that are to answer, in this order.
func (p *Plan) Models() []chat.ModelID { return p.models }

// Spoken reports whether the message is not written down yet.
func (p *Plan) Spoken() bool { return p.spoken }

// Quiet reports whether no answer is wanted yet.
func (p *Plan) Quiet() bool { return p.quiet }

// Message returns the events of a plan to say something, which follow record
// last: what it ends, the message, and the turns that it wants.
func (m Moment) Message(p *Plan, by chat.UserID) (events []chat.Event, seq uint64) {
	seq = m.Seq + 1 + uint64(len(p.ends))
	events = append(slices.Clip(p.ends), p.MessageAdded)
	return append(events, m.turns(p, seq, by)...), seq
}

// Response returns the events of a plan to answer the message that is record seq.
// A seq of 0 means that it is not recorded yet. The first of the turns has the plan's
// ClientID and Origin, which are those of the command.
func (m Moment) Response(p *Plan, seq uint64, by chat.UserID) []chat.Event {
	turns := m.turns(p, seq, by)
	if len(turns) > 0 {
		first := turns[0].(chat.TurnQueued)
		first.ClientID, first.Origin = p.ClientID, p.Origin
		turns[0] = first
	}
	return append(slices.Clip(p.ends), turns...)
}

// turns are those that answer the message, which is record seq.
func (m Moment) turns(p *Plan, seq uint64, by chat.UserID) (turns []chat.Event) {
	if p.quiet || p.Steers != "" {
		return nil
	}
	for _, model := range p.models {
		turns = append(turns, chat.TurnQueued{
			TurnID: chat.TurnID(m.NewID()), Prompt: p.MessageID, PromptSeq: seq, ModelID: model,
			By: by, Correlation: p.correlation, Before: p.before, Spoken: p.spoken,
		})
	}
	return turns
}
