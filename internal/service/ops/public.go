package ops

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/contact"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/kit/srp"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/messages"
)

// This file holds what operations have in common that anybody may call who knows a client's id: the secret hash, what
// a client may write, budgets of attempts, and the pretence about users who do not exist.
//
// Where the client hides who exists, an operation must take the same way for everybody: spend an attempt under
// Decoys.Subject, ask the store for the same things, and answer what Decoys make up. Only the holder of the right code
// learns anything about a user. What takes long is left to the worker (messages, see messages.Want.Later) or waits
// behind the right code (the verifier of a new password).

// checkSecretHash refuses a call that does not prove to know a secret of its client: the hash is the HMAC of the user
// name, as it was sent, and the client's id. Every one of the client's secrets is good. A hash that was sent for a
// client without secrets is not looked at (unconfirmed). Pages of this server need none.
//
// Evidence: documented; the texts are observed.
func checkSecretHash(c *dispatch.Call, username string, given *secret.Text) error {
	if len(c.Client.Secrets) == 0 || c.Hosted {
		return nil
	}
	if given == nil {
		return fault.SecretHashMissing(c.Client.ID)
	}
	proven := false
	for _, s := range c.Client.Secrets {
		mac := hmac.New(sha256.New, []byte(s.Value.Reveal()))
		mac.Write([]byte(username + c.Client.ID))
		proven = given.Equal(secret.New(base64.StdEncoding.EncodeToString(mac.Sum(nil)))) || proven
	}
	if !proven {
		return fault.SecretHashWrong(c.Client.ID)
	}
	return nil
}

// checkWrites refuses attributes that the client may not write.
func checkWrites(c *dispatch.Call, names ...string) error {
	for _, name := range names {
		if !c.Client.Writes(&c.Pool.Settings, name) {
			return fault.UnauthorizedAttribute()
		}
	}
	return nil
}

// hidden reports whether the client hides which users exist.
func hidden(c *dispatch.Call) bool {
	return c.Client != nil && c.Client.HidesUsers()
}

// lookUp finds the user whom a caller names that may be anybody: by user name, sub or active alias, as find does. The
// record is nil when there is none.
func lookUp(users store.UserReader, p *pool.Pool, username string) (*user.Record, error) {
	r, err := users.ByLogin(p, username)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return r, err
}

// attempt is one try out of a budget, from the transaction that evaluates it. The zero value counts nothing.
type attempt struct {
	tallies         store.Tallies
	poolID, subject string
	budget          verify.Budget
	tally           verify.Tally
}

// spend takes an attempt from the budget of a subject: a user's sub, or Decoys.Subject. refused is the fault of a budget
// that is used up, which is to be returned after the commit; the attempt must not be evaluated then.
//
// The transaction's function must return nil once it has spent an attempt, whatever came of it, or nothing is counted.
func spend(tx store.Tx, c *dispatch.Call, subject string, b verify.Budget) (a attempt, refused, err error) {
	a = attempt{tallies: tx.Tallies(), poolID: c.Pool.ID, subject: subject, budget: b}
	before, err := a.tallies.Take(a.poolID, subject, b)
	if err != nil {
		return a, nil, err
	}
	var ok bool
	if a.tally, ok = before.Spend(b, c.Now); !ok {
		if before.Failures >= verify.MaxFailures && c.Spec.Lists(fault.TooManyFailedAttemptsException) {
			return a, fault.TooManyFailedAttempts(), nil
		}
		return a, fault.AttemptsExceeded(), nil
	}
	return a, nil, a.put(a.tally)
}

// fail counts that the attempt was wrong.
func (a attempt) fail() error { return a.put(a.tally.Fail()) }

// succeed counts that the attempt was right: earlier failures are forgotten.
func (a attempt) succeed() error { return a.put(a.tally.Succeed()) }

// forget gives the whole budget back: there is nothing left to be guessed, and what was spent shall not show that.
func (a attempt) forget() error { return a.put(verify.Tally{}) }

func (a attempt) put(t verify.Tally) error { return a.tallies.Put(a.poolID, a.subject, a.budget, t) }

// checkCode compares a code with the outstanding one of its purpose; refused is the fault of one that is not good. With
// hide, whoever does not hold the right code reads the same whether there is a user, a code, or a fresh one.
func checkCode(codes store.CodeReader, c *dispatch.Call, subject string, purpose verify.Purpose, given secret.Text, hide bool) (code verify.Code, refused, err error) {
	right, missing := codes.Matches(c.Pool.ID, subject, purpose, given)
	if missing != nil && !errors.Is(missing, store.ErrNotFound) {
		return code, nil, missing
	}
	code, err = codes.Get(c.Pool.ID, subject, purpose)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return code, nil, err
	}
	fresh := err == nil && c.Now.Before(code.Expires)
	switch {
	case right && fresh:
		return code, nil, nil
	case right, !fresh && !hide: // a right one that is not fresh, or whatever there is instead of a fresh one
		return code, fault.CodeExpired(), nil
	}
	return code, fault.CodeMismatch(), nil
}

// idle is as much work as storing a code, its message and the journal's line, and leaves nothing behind.
func idle(tx store.Tx, c *dispatch.Call, subject string, code secret.Text) error {
	const purpose = verify.Purpose("decoy")
	for range 2 {
		if err := tx.Codes().Put(verify.Code{PoolID: c.Pool.ID, Sub: subject, Purpose: purpose, Plain: code, Created: c.Now, Expires: c.Now}); err != nil {
			return err
		}
	}
	return tx.Codes().Void(c.Pool.ID, subject, purpose)
}

// setOrigin lets a server that signs users up or in on their behalf say where they are: its client must have a secret and
// must be allowed to. What is no address is ignored, as is everything a client says that is not allowed to.
//
// Evidence: documented; that a bad address is no error is unconfirmed.
func setOrigin(c *dispatch.Call, given *api.UserContextDataType) {
	if given == nil || given.IpAddress == nil || !c.Client.PropagateContext || len(c.Client.Secrets) == 0 {
		return
	}
	if address, err := netip.ParseAddr(*given.IpAddress); err == nil {
		c.Source = address.String()
	}
}

// tell sends what was posted: at once, or where the client hides who exists, at a time that tells nothing.
func tell(ctx context.Context, m *messages.Messages, c *dispatch.Call, r *user.Record, msgs ...*notice.Message) error {
	if hidden(c) {
		m.Leave(msgs...)
		return nil
	}
	return m.Flush(ctx, c, c.Pool, r, msgs...)
}

// codeDelivery tells whoever asked for a message where it goes; nil when there is no message.
func codeDelivery(m *notice.Message) *api.CodeDeliveryDetailsType {
	if m == nil {
		return nil
	}
	return delivery(m.Medium, m.Attribute, notice.Mask(m.Medium, m.To))
}

func delivery(m notice.Medium, attribute, destination string) *api.CodeDeliveryDetailsType {
	medium := string(m)
	return &api.CodeDeliveryDetailsType{Destination: &destination, DeliveryMedium: &medium, AttributeName: &attribute}
}

// Decoys make up what users would have who do not exist, always the same for the same name: on every node, and after a
// restart. What they make up says nothing about the key.
type Decoys struct{ key secret.Text }

// DecoyKeySize is the number of bytes of a key of Decoys.
const DecoyKeySize = 32

// NewDecoys makes decoys from a key of 32 secret bytes, which all nodes share and which must never change.
func NewDecoys(key []byte) (*Decoys, error) {
	if len(key) != DecoyKeySize {
		return nil, fmt.Errorf("a key of decoys has %d bytes, not %d", len(key), DecoyKeySize)
	}
	return &Decoys{key: secret.New(string(key))}, nil
}

// draw is the keyed hash of parts, which differs for every other list of parts.
func (d *Decoys) draw(parts ...string) []byte {
	mac := hmac.New(sha256.New, []byte(d.key.Reveal()))
	for _, p := range parts {
		mac.Write(binary.AppendUvarint(nil, uint64(len(p))))
		mac.Write([]byte(p))
	}
	return mac.Sum(nil)
}

// Subject stands for the sub of a user who does not exist: in tallies, and wherever the store is asked for the sake of
// the same work. All spellings of a name that the pool takes for the same have one.
func (d *Decoys) Subject(p *pool.Pool, name string) string {
	const sub = 16
	return "decoy-" + hex.EncodeToString(d.draw("subject", p.ID, user.Key(p, user.Names, name))[:sub])
}

// subjectOf is the subject of a user, or of the name of somebody who does not exist.
func (d *Decoys) subjectOf(c *dispatch.Call, u *user.Record, name string) string {
	if u == nil {
		return d.Subject(c.Pool, name)
	}
	return u.Sub
}

// claimant is who a public request says it is from.
type claimant struct {
	user    *user.Record // nil when nobody has the name
	unfit   error        // why the request can not be for this user; only where the client hides who exists
	subject string       // whose attempts are counted
	attempt attempt      // the one that the request has spent
}

// approach finds who a public request is from and spends one of their attempts. A user whom unfit has a fault for, nil
// among them, is refused with it; where the client hides who exists the caller goes on with it as with any other.
//
// refused is that of spend: it is to be returned after the commit.
func (d *Decoys) approach(tx store.Tx, c *dispatch.Call, name string, unfit func(*user.Record) error, b verify.Budget) (who claimant, refused, err error) {
	if who.user, err = lookUp(tx.Users(), c.Pool, name); err != nil {
		return who, nil, err
	}
	who.subject = d.subjectOf(c, who.user, name)
	if who.unfit = unfit(who.user); who.unfit != nil && !hidden(c) {
		return who, nil, who.unfit
	}
	who.attempt, refused, err = spend(tx, c, who.subject, b)
	return who, refused, err
}

// credential is what would be stored of a password: a salt, and a verifier that no password is known to have.
func (d *Decoys) credential(p *pool.Pool, name string) (salt, verifier []byte) {
	key := user.Key(p, user.Names, name)
	for i := 0; len(salt) == 0 || salt[0] == 0; i++ { // as those of users, none begins with a zero
		salt = d.draw("salt", p.ID, key, strconv.Itoa(i))[:srp.SaltSize]
	}
	random := make([]byte, srp.DecoySize)
	h := sha3.NewSHAKE256()
	h.Write(d.draw("verifier", p.ID, key))
	h.Read(random)
	return salt, srp.Decoy(random)
}

// userID is the immutable user name that somebody of the name would have: the name itself, or a sub where the pool makes
// user names of its own, or where the name can only be an alias.
func (d *Decoys) userID(p *pool.Pool, name string) string {
	alias := contact.LooksLikeEmail(name) && p.Alias(pool.Email) || contact.LooksLikePhone(name) && p.Alias(pool.PhoneNumber)
	if len(p.UsernameAttributes) == 0 && !alias {
		return name
	}
	x := d.draw("user id", p.ID, user.Key(p, user.Names, name))
	x[6] = 0x70 // the form of subs
	h := hex.EncodeToString(x[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// The letters with which addresses and their domains begin, common ones more often.
const (
	localLetters  = "aaaabbccdddeeffgghhijjjjkkklllmmmmmnnnopprrrssssttvwyz"
	domainLetters = "ggggggggggyyyhhooiiimmaacceepstw"
)

// Delivery is where a message to a user who does not exist would go: to the name when it is an address, else to an
// invented one of the kind that the pool verifies.
func (d *Decoys) Delivery(c *dispatch.Call, name string) *api.CodeDeliveryDetailsType {
	attribute := pool.PhoneNumber
	if contact.LooksLikeEmail(name) || c.Pool.AutoVerifies(pool.Email) && !contact.LooksLikePhone(name) {
		attribute = pool.Email
	}
	return delivery(notice.MediumOf(attribute), attribute, d.destination(c, name, attribute))
}

// destination is the address that a user who does not exist would have, masked: the name when it is such an address, else an
// invented one.
func (d *Decoys) destination(c *dispatch.Call, name, attribute string) string {
	switch {
	case attribute == pool.Email && contact.LooksLikeEmail(name):
		return contact.MaskEmail(name)
	case attribute == pool.PhoneNumber && contact.LooksLikePhone(name):
		return contact.MaskPhone(name)
	}
	x := d.draw("delivery", c.Pool.ID, c.Client.ID, user.Key(c.Pool, user.Names, name))
	number := binary.BigEndian.Uint64(x)
	if attribute == pool.Email {
		local, domain := localLetters[number%uint64(len(localLetters))], domainLetters[number>>32%uint64(len(domainLetters))]
		return contact.MaskEmail(string(local) + "@" + string(domain))
	}
	// Eleven digits, of which the last four show.
	return contact.MaskPhone(fmt.Sprintf("+1000000%04d", number%10_000))
}
