package chat

// A family is the versions of a message, or of an answer.
type family struct {
	first  uint64
	answer bool
}

func (b Branches) familyOf(m Message) family {
	if m.Role == RoleAssistant {
		return family{b.FirstAnswer(m), true}
	}
	return family{first: b.first(m.Seq)}
}

// Versions returns a function that returns the records which hold a message and its other
// versions, in order, or nil if there is one only.
func (b Branches) Versions() func(Message) []uint64 {
	families := make(map[family][]uint64)
	for _, f := range b.forks {
		at := f.at
		if f.prompt > 0 {
			at = f.end
		}
		if f.of == 0 || at == 0 || b.withdrawn.Has(at) {
			continue
		}
		of := family{f.of, f.prompt > 0}
		all := families[of]
		if all == nil && !b.withdrawn.Has(f.of) {
			all = append(all, f.of)
		}
		families[of] = append(all, at)
	}
	return func(m Message) []uint64 {
		if all := families[b.familyOf(m)]; len(all) > 1 {
			return all
		}
		return nil
	}
}

// FirstAnswer returns the first version of an answer.
func (b Branches) FirstAnswer(m Message) uint64 {
	if i := b.version(m.Version); i >= 0 {
		return b.forks[i].of
	}
	return m.Seq
}
