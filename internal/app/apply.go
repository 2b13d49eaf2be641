package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/edge/wire"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// An applier brings what a file describes into the server, by the same operations that clients call. It can be run again and again:
// pools and clients that exist are updated, users that exist are left as they are, and nothing is deleted.
//
// A pool is recognised by its _custom_id_ tag, else by its name; a client by its _custom_id_: name, else by its name.
type applier struct {
	pipeline *dispatch.Pipeline
	chance   *chance.Source
	region   string
}

// A part of the file is the input of an operation, with lists of further parts in it.
type part map[string]json.RawMessage

// toJSON turns YAML into JSON and refuses members that stand twice. The library panics at some odd texts, such as
// "Pools: !", which here is an error like any other.
func toJSON(text []byte) (asJSON []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the YAML cannot be read: %v", v)
		}
	}()
	var twice any
	if err = yaml.UnmarshalWithOptions(text, &twice, yaml.Strict()); err == nil {
		asJSON, err = yaml.YAMLToJSON(text)
	}
	if err != nil {
		return nil, errors.New(yaml.FormatError(err, false, true))
	}
	return asJSON, nil
}

// applyFile applies the pools, clients and users of a YAML or JSON file.
func (a *applier) applyFile(ctx context.Context, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the file to apply: %w", err)
	}
	if err := a.apply(ctx, text); err != nil {
		return fmt.Errorf("apply %s: %w", path, err)
	}
	return nil
}

func (a *applier) apply(ctx context.Context, text []byte) error {
	asJSON, err := toJSON(text)
	if err != nil {
		return err
	}
	var file part
	if err := json.Unmarshal(asJSON, &file); err != nil {
		return errors.New("the file must be a map with the member Pools")
	}
	pools, err := file.parts("Pools")
	if err != nil {
		return err
	}
	for name := range file {
		return fmt.Errorf("the file has the member %s; only Pools is known at its top", name)
	}
	for i, p := range pools {
		if err := a.pool(ctx, p); err != nil {
			return fmt.Errorf("in Pools[%d] %s: %w", i, p.text("PoolName"), err)
		}
	}
	return nil
}

// parts takes a list of parts out of p.
func (p part) parts(name string) ([]part, error) {
	raw, ok := p[name]
	if !ok {
		return nil, nil
	}
	delete(p, name)
	var list []part
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("%s must be a list of maps", name)
	}
	return list, nil
}

// text is the string member of that name, "" when there is none or it is of another kind, which the operation will say.
func (p part) text(name string) string {
	var s string
	if json.Unmarshal(p[name], &s) != nil {
		return ""
	}
	return s
}

func (p part) set(name string, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("a %T cannot be JSON: %v", v, err)) // strings and booleans only
	}
	p[name] = raw
}

// with returns a copy of p that has only the members of the shape.
func (p part) with(shape *api.Shape) part {
	out := part{}
	for name, raw := range p {
		if shape.Member(name) >= 0 {
			out[name] = raw
		}
	}
	return out
}

func (a *applier) pool(ctx context.Context, p part) error {
	clients, err := p.parts("Clients")
	if err != nil {
		return err
	}
	users, err := p.parts("Users")
	if err != nil {
		return err
	}
	var tags map[string]string
	if raw, ok := p["UserPoolTags"]; ok {
		if err := json.Unmarshal(raw, &tags); err != nil {
			return errors.New("UserPoolTags must be a map of texts")
		}
	}
	in := *a
	if region, _, ok := strings.Cut(tags[customID], "_"); ok {
		in.region = region
	}
	id, err := in.findPool(ctx, tags[customID], p.text("PoolName"))
	if err != nil {
		return err
	}
	if id == "" {
		out, err := call(ctx, &in, api.CreateUserPool, p)
		if err != nil {
			return err
		}
		id = deref(out.UserPool.Id)
	} else if err := in.updatePool(ctx, id, p); err != nil {
		return err
	}
	for i, c := range clients {
		if err := in.client(ctx, id, c); err != nil {
			return fmt.Errorf("in Clients[%d] %s: %w", i, c.text("ClientName"), err)
		}
	}
	for i, u := range users {
		if err := in.user(ctx, id, u); err != nil {
			return fmt.Errorf("in Users[%d] %s: %w", i, u.text("Username"), err)
		}
	}
	return nil
}

// customID is LocalStack's convention for fixed ids.
const customID = "_custom_id_"

// findPool returns the id of the pool that a part of the file describes, "" when there is none yet.
func (a *applier) findPool(ctx context.Context, id, name string) (string, error) {
	if id != "" {
		_, err := call(ctx, a, api.DescribeUserPool, part{"UserPoolId": quoted(id)})
		if fault.CodeOf(err) == fault.ResourceNotFoundException {
			return "", nil
		}
		return id, err
	}
	var found []string
	in := part{"MaxResults": json.RawMessage("60")}
	for {
		page, err := call(ctx, a, api.ListUserPools, in)
		if err != nil {
			return "", err
		}
		for _, p := range page.UserPools {
			if deref(p.Name) == name {
				found = append(found, deref(p.Id))
			}
		}
		if deref(page.NextToken) == "" {
			break
		}
		in.set("NextToken", *page.NextToken)
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%d pools have this name; give one of them a %s tag", len(found), customID)
}

func (a *applier) updatePool(ctx context.Context, id string, p part) error {
	in := p.with(api.UpdateUserPool.In)
	in.set("UserPoolId", id)
	_, err := call(ctx, a, api.UpdateUserPool, in)
	return err
}

func (a *applier) client(ctx context.Context, pool string, c part) error {
	c.set("UserPoolId", pool)
	name := c.text("ClientName")
	id, fixed := strings.CutPrefix(name, customID+":")
	found := ""
	in := part{"UserPoolId": quoted(pool), "MaxResults": json.RawMessage("60")}
	for found == "" {
		page, err := call(ctx, a, api.ListUserPoolClients, in)
		if err != nil {
			return err
		}
		for _, have := range page.UserPoolClients {
			if fixed && deref(have.ClientId) == id || !fixed && deref(have.ClientName) == name {
				found = deref(have.ClientId)
			}
		}
		if deref(page.NextToken) == "" {
			break
		}
		in.set("NextToken", *page.NextToken)
	}
	if found == "" {
		_, err := call(ctx, a, api.CreateUserPoolClient, c)
		return err
	}
	update := c.with(api.UpdateUserPoolClient.In)
	update.set("ClientId", found)
	if fixed {
		delete(update, "ClientName") // it names the id and nothing else
	}
	_, err := call(ctx, a, api.UpdateUserPoolClient, update)
	return err
}

func (a *applier) user(ctx context.Context, pool string, u part) error {
	u.set("UserPoolId", pool)
	password, given := u["Password"]
	permanent, said := u["Permanent"]
	delete(u, "Password")
	delete(u, "Permanent")
	if _, both := u["TemporaryPassword"]; both && given {
		return errors.New("give Password or TemporaryPassword, not both")
	}
	if said && !given {
		return errors.New("there is a Permanent without a Password")
	}
	if given {
		// Made with the user, so that a password which the policy refuses makes no user.
		u["TemporaryPassword"] = password
		if _, ok := u["MessageAction"]; !ok {
			u.set("MessageAction", "SUPPRESS") // who gets a password here needs no invitation
		}
	}
	out, err := call(ctx, a, api.AdminCreateUser, u)
	if fault.CodeOf(err) == fault.UsernameExistsException {
		return nil
	}
	if err != nil || !given || said && string(permanent) == "false" {
		return err
	}
	if !said {
		permanent = json.RawMessage("true")
	}
	_, err = call(ctx, a, api.AdminSetUserPassword, part{"UserPoolId": quoted(pool), "Username": quoted(deref(out.User.Username)),
		"Password": password, "Permanent": permanent})
	return err
}

func quoted(s string) json.RawMessage {
	p := part{}
	p.set("", s)
	return p[""]
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// call runs an operation.
func call[In, Out any](ctx context.Context, a *applier, op api.Op[In, Out], in part) (*Out, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	if unknown := wire.Unknown(op.In, body); len(unknown) > 0 {
		slices.Sort(unknown)
		return nil, fmt.Errorf("%s has no member %s", op.Name, strings.Join(unknown, ", "))
	}
	reply := a.pipeline.Serve(ctx, &dispatch.Request{ID: a.chance.RequestID(), Operation: op.Name, Region: a.region, Inbound: applied(body)})
	if reply.Err != nil {
		if reply.Cause != nil {
			return nil, fmt.Errorf("%s: %w", op.Name, reply.Cause)
		}
		return nil, fmt.Errorf("%s: %w", op.Name, reply.Err)
	}
	out, ok := reply.Out.(*Out)
	if !ok {
		return new(Out), nil // the operation answers nothing
	}
	return out, nil
}

// applied is the inbound half of a request that comes from a file of the operator.
type applied []byte

// Authenticate lets the operator do everything.
func (applied) Authenticate(context.Context, *api.Spec) (dispatch.Principal, error) {
	return dispatch.Principal{KeyID: "apply", ARN: "apply"}, nil
}

// Decode reads the body.
func (b applied) Decode(spec *api.Spec, into any) (dispatch.Missing, error) {
	return wire.Decode(spec.In, b, into)
}
