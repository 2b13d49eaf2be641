// Package botomodel writes the contract in the form that botocore reads, so that a Python SDK or AWS CLI of any age knows every
// operation and member that api/model.json describes.
//
// The AWS CLI and boto3 look for service descriptions in the folders that AWS_DATA_PATH names before they look into their own. What
// is not written here, such as the rules for endpoints and the paginators, they take from their own.
package botomodel

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// The part of api/model.json that botocore can use.
type model struct {
	Service struct {
		Target, APIVersion, EndpointPrefix string
	}
	Operations map[string]struct {
		Auth, Input, Output string
		Errors              []string
	}
	Structures map[string]struct {
		Members map[string]member
		Error   string // client or server; empty: no exception
	}
	Lists map[string]struct {
		constraints
		Member string
	}
	Maps map[string]struct {
		constraints
		Key, Value string
	}
	Strings, Integers, Longs, Blobs map[string]constraints
	Booleans, Timestamps            []string
}

type constraints struct {
	Min       *int64   `json:"min,omitempty"`
	Max       *int64   `json:"max,omitempty"`
	Pattern   string   `json:"pattern,omitempty"`
	Enum      []string `json:"enum,omitempty"`
	Sensitive bool     `json:"sensitive,omitempty"`
}

type member struct {
	Type     string
	Required bool
}

type ref struct {
	Shape string `json:"shape"`
}

type operation struct {
	Name     string            `json:"name"`
	HTTP     map[string]string `json:"http"`
	Input    ref               `json:"input"`
	Output   *ref              `json:"output,omitempty"`
	Errors   []ref             `json:"errors"`
	AuthType string            `json:"authtype,omitempty"` // for botocore before 2024
	Auth     []string          `json:"auth,omitempty"`     // for later ones
}

type shape struct {
	Type string `json:"type"`
	constraints
	Required  []string       `json:"required,omitempty"`
	Members   map[string]ref `json:"members,omitempty"`
	Exception bool           `json:"exception,omitempty"`
	Fault     bool           `json:"fault,omitempty"`
	Document  bool           `json:"document,omitempty"`
	Member    *ref           `json:"member,omitempty"`
	Key       *ref           `json:"key,omitempty"`
	Value     *ref           `json:"value,omitempty"`
}

// Write writes the service description below dir, which then serves as AWS_DATA_PATH. The contract is the text of api/model.json.
func Write(dir string, contract []byte) error {
	var m model
	if err := json.Unmarshal(contract, &m); err != nil {
		return fmt.Errorf("read the contract: %w", err)
	}
	text, err := json.MarshalIndent(map[string]any{
		"version": "2.0",
		"metadata": map[string]any{
			"apiVersion": m.Service.APIVersion, "endpointPrefix": m.Service.EndpointPrefix, "jsonVersion": "1.1", "protocol": "json",
			"protocols": []string{"json"}, "serviceFullName": "Amazon Cognito Identity Provider", "serviceId": "Cognito Identity Provider",
			"signatureVersion": "v4", "targetPrefix": m.Service.Target, "uid": m.Service.EndpointPrefix + "-" + m.Service.APIVersion,
			"auth": []string{"aws.auth#sigv4"},
		},
		"operations": m.operations(),
		"shapes":     m.shapes(),
	}, "", " ")
	if err != nil {
		return fmt.Errorf("write the description: %w", err)
	}
	folder := filepath.Join(dir, m.Service.EndpointPrefix, m.Service.APIVersion)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "service-2.json"), text, 0o644)
}

func (m *model) operations() map[string]operation {
	all := map[string]operation{}
	for name, o := range m.Operations {
		op := operation{Name: name, HTTP: map[string]string{"method": "POST", "requestUri": "/"}, Input: ref{o.Input}, Errors: []ref{}}
		if o.Output != "" {
			op.Output = &ref{o.Output}
		}
		for _, e := range o.Errors {
			op.Errors = append(op.Errors, ref{e})
		}
		if o.Auth != "iam" {
			op.AuthType, op.Auth = "none", []string{"smithy.api#noAuth"}
		}
		all[name] = op
	}
	return all
}

func (m *model) shapes() map[string]shape {
	all := map[string]shape{}
	for name, s := range m.Structures {
		out := shape{Type: "structure", Members: map[string]ref{}, Exception: s.Error != "", Fault: s.Error == "server", Document: name == "Document"}
		for _, name := range slices.Sorted(maps.Keys(s.Members)) {
			out.Members[name] = ref{s.Members[name].Type}
			if s.Members[name].Required {
				out.Required = append(out.Required, name)
			}
		}
		all[name] = out
	}
	for name, l := range m.Lists {
		all[name] = shape{Type: "list", constraints: l.constraints, Member: &ref{l.Member}}
	}
	for name, s := range m.Maps {
		all[name] = shape{Type: "map", constraints: s.constraints, Key: &ref{s.Key}, Value: &ref{s.Value}}
	}
	for kind, group := range map[string]map[string]constraints{"string": m.Strings, "integer": m.Integers, "long": m.Longs, "blob": m.Blobs} {
		for name, c := range group {
			all[name] = shape{Type: kind, constraints: c}
		}
	}
	for kind, names := range map[string][]string{"boolean": m.Booleans, "timestamp": m.Timestamps} {
		for _, name := range names {
			all[name] = shape{Type: kind}
		}
	}
	return all
}
