package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parlor/protocol/chat"
)

// How an identity came to its link.
const (
	LinkedByAddress = "address"
	LinkedByAdmin   = "admin"
)

// A Link says whose an identity is: the user id that one way of signing in makes. A person
// may have several of them. What the person does counts under Person.
type Link struct {
	ID     chat.UserID `json:"user_id"`
	Person chat.UserID `json:"person"` // equal to ID: an administrator has taken the link away
	By     string      `json:"by"`
	Since  time.Time   `json:"since"`
	Moving bool        `json:"moving,omitempty"` // the chats of ID are still to be handed over to Person
}

func (l *Link) key() string { return keyLinks + digest(string(l.ID)) }

// apart reports whether an administrator wants the identity to be nobody else.
func (l *Link) apart() bool { return l.ID == l.Person }

// An address is one that a trusted issuer has verified, with the identity that came with it.
type address struct {
	Text   string      `json:"address"`
	Issuer string      `json:"issuer"`
	ID     chat.UserID `json:"user_id"`
}

func (a *address) key() string { return keyAddresses + digest(a.Text) }

// Person returns the user that somebody is who signs in as id.
func (a *Accounts) Person(id chat.UserID) chat.UserID {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.person(id)
}

// person is Person for those who hold a.mu.
func (a *Accounts) person(id chat.UserID) chat.UserID {
	if l, ok := a.links[id]; ok {
		return l.Person
	}
	return id
}

// vouched returns the address in the claims that their issuer has verified. It returns ""
// if there is none, and reports whether the claims have an address at all.
//
// An address is taken for the same in another case, but only among the letters of ASCII:
// folding others makes two addresses of different people equal (as K and the Kelvin sign).
func vouched(claims jwt.MapClaims) (verified string, has bool) {
	text, _ := claims["email"].(string)
	if text == "" {
		return "", false
	}
	yes := claims["email_verified"]
	name, domain, ok := strings.Cut(text, "@")
	if yes != true && yes != "true" || !ok || name == "" || domain == "" || len(text) > MaxEmailLen || strings.ContainsFunc(text, unfitForAddress) || strings.Contains(domain, "@") {
		return "", true
	}
	return strings.ToLower(text), true
}

func unfitForAddress(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune(`"(),:;<>[\]`, r)
}

// recognise links the user of a sign-in to the person who has the verified address in its
// claims. It does nothing unless the issuer of the claims is trusted to verify addresses.
func (v *Verifier) recognise(where, issuer string, id chat.UserID, claims jwt.MapClaims) error {
	verified, has := vouched(claims)
	if v.accounts == nil || issuer == "" || !slices.Contains(v.linkIssuers, issuer) || !has {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), linkTimeout)
	defer cancel()
	if err := (linker{v.accounts}).meet(ctx, address{verified, issuer, id}); err != nil {
		v.accounts.Logger.Error("a verified address cannot be noted", "user", id, "err", err)
		return refuse(where, "the server cannot note whose the address is at the moment; try again")
	}
	return nil
}

// linkTimeout is how long a sign-in may wait for the disk.
const linkTimeout = 10 * time.Second

// A linker decides which identities are one person.
type linker struct{ *Accounts }

// meet takes note of an identity that came with an address, which is empty if its issuer has
// not verified it. If another person has the address, and the identity is new here, then it
// is that person's from now on.
//
// An identity that is somebody here already stays that: to give away what it has is for an
// administrator. So does a second identity of the same issuer: an issuer that gives an
// address to somebody else makes a new one.
func (a linker) meet(ctx context.Context, met address) error {
	if a.hasMet(met) {
		return nil
	}
	a.linking.Lock()
	defer a.linking.Unlock()
	if err := a.dropAddress(ctx, met); err != nil {
		return err
	}
	a.mu.Lock()
	l := a.links[met.ID]
	holder, held := a.addresses[met.Text]
	same := held && a.person(holder.ID) == a.person(met.ID)
	a.mu.Unlock()
	var err error
	switch {
	case met.Text == "" || same:
	case !held:
		err = a.putAddress(ctx, met)
	case l != nil || holder.Issuer == met.Issuer || a.known(met.ID):
		a.Logger.Warn("two users have the same verified address, and stay two; parlor user link makes them one", "user", met.ID, "other", holder.ID)
	default:
		err = a.putLink(ctx, Link{ID: met.ID, Person: a.Person(holder.ID), By: LinkedByAddress, Since: a.Now()})
	}
	if err == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.met[met.ID] = met
	}
	return err
}

// hasMet reports whether nothing has changed since the identity came with that address.
func (a linker) hasMet(met address) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.met[met.ID] == met
}

// forgetMet has each identity looked at again.
func (a linker) forgetMet() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.met)
}

// dropAddress forgets the address with which the identity came before, if it has another one
// now: whoever has the old one next is not this person.
func (a linker) dropAddress(ctx context.Context, met address) error {
	a.mu.Lock()
	var old *address
	for _, kept := range a.addresses {
		if kept.ID == met.ID && kept.Text != met.Text && kept.Issuer == met.Issuer {
			old = kept
		}
	}
	if old != nil {
		delete(a.addresses, old.Text)
		clear(a.met)
	}
	a.mu.Unlock()
	if old == nil {
		return nil
	}
	return a.remove(ctx, old.key())
}

func (a linker) putAddress(ctx context.Context, met address) error {
	if err := a.put(ctx, met.key(), &met); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addresses[met.Text] = &met
	return nil
}

// putLink records a link, and cuts off whoever is connected as somebody else than the link
// says: they come back as who they are.
func (a *Accounts) putLink(ctx context.Context, l Link) error {
	if err := a.put(ctx, l.key(), &l); err != nil {
		return err
	}
	a.mu.Lock()
	before := a.person(l.ID)
	a.links[l.ID] = &l
	linked := a.linked
	a.mu.Unlock()
	if before != l.Person {
		a.ended(before, "")
		linked()
	}
	return nil
}

// known reports whether a user is somebody here already: there is something that a link
// would give away.
func (a linker) known(id chat.UserID) bool {
	if a.user(id).exists() || len(a.Sessions(id)) > 0 || a.HasChats(string(id)) {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range a.keys {
		if k.User == id {
			return true
		}
	}
	for _, l := range a.links {
		if l.Person == id {
			return true
		}
	}
	return false
}

// link makes an identity that of a person, and so those that were linked to it before. Its
// browsers are signed out: whoever is in one of them has to prove anew who they are.
func (a linker) link(ctx context.Context, id, person chat.UserID) error {
	if fault := cmpFault(id, person); fault != "" {
		return errors.New("the user " + fault)
	}
	a.linking.Lock()
	defer a.linking.Unlock()
	a.forgetMet()
	person = a.Person(person)
	switch already := a.Person(id); {
	case person == id:
		return fmt.Errorf("%q and %q are one person already, or the same", id, person)
	case already == person:
		return nil
	case already != id:
		return fmt.Errorf("%q is linked to %q: unlink it first", id, already)
	}
	for _, l := range a.Links() {
		if l.Person == id && !l.apart() {
			l.Person, l.Moving = person, l.Moving || a.HasChats(string(l.ID))
			if err := a.putLink(ctx, l); err != nil {
				return err
			}
		}
	}
	if err := a.RevokeAll(ctx, id, ""); err != nil {
		return err
	}
	return a.putLink(ctx, Link{ID: id, Person: person, By: LinkedByAdmin, Since: a.Now(), Moving: true})
}

func cmpFault(ids ...chat.UserID) string {
	for _, id := range ids {
		if fault := UserFault(chat.User{ID: id}); fault != "" {
			return fault
		}
	}
	return ""
}

// unlink makes an identity a user of its own again, whom no address links any more. The
// chats stay with the person. The identity's browsers are signed out.
func (a linker) unlink(ctx context.Context, id chat.UserID) error {
	a.linking.Lock()
	defer a.linking.Unlock()
	a.forgetMet()
	if a.Person(id) == id {
		return fmt.Errorf("%q is not linked to anybody", id)
	}
	if err := a.putLink(ctx, Link{ID: id, Person: id, By: LinkedByAdmin, Since: a.Now()}); err != nil {
		return err
	}
	return a.RevokeAll(ctx, id, "")
}

// Links returns all links, and the identities that were taken apart, by their ids.
func (a *Accounts) Links() []Link {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []Link
	for _, l := range a.links {
		all = append(all, *l)
	}
	slices.SortFunc(all, func(a, b Link) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return all
}

// OnLink has f called after each change of a link, on whatever goroutine made it.
func (a *Accounts) OnLink(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.linked = f
}

// Moved records that the chats of an identity were handed over to its person.
func (a *Accounts) Moved(ctx context.Context, moved Link) error {
	a.linking.Lock()
	defer a.linking.Unlock()
	a.mu.Lock()
	l, ok := a.links[moved.ID]
	ok = ok && *l == moved
	a.mu.Unlock()
	if !ok {
		return nil // it was changed meanwhile
	}
	moved.Moving = false
	return a.putLink(ctx, moved)
}
