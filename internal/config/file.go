package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// File is a configuration file that was read. A nil File sets nothing.
type File struct {
	config  Config
	present map[string]bool
}

// ReadFile reads a configuration file. Unknown keys and values that do not fit are errors, with line and excerpt.
func ReadFile(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	f, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// Parse reads the text of a configuration file.
func Parse(text []byte) (*File, error) {
	f := &File{present: map[string]bool{}}
	var keys map[string]any
	if err := decode(text, &keys); err != nil {
		return nil, fmt.Errorf("not a configuration: %w", err)
	}
	for k := range keys {
		f.present[k] = true
	}
	if err := decode(text, &f.config, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("not a setting: %w", err)
	}
	// The library passes over keys that are no text, such as 1.
	for k := range keys {
		if !f.value(k).IsValid() {
			return nil, fmt.Errorf("not a setting: %s", k)
		}
	}
	return f, f.checkWords()
}

// decode reads YAML. The library panics at some odd texts, such as "allow-host: !", which here is an error like any other.
func decode(text []byte, into any, options ...yaml.DecodeOption) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the YAML cannot be read: %v", v)
		}
	}()
	if err := yaml.UnmarshalWithOptions(text, into, options...); err != nil {
		return errors.New(yaml.FormatError(err, false, true))
	}
	return nil
}

// checkWords refuses values that are none of the words which a setting allows. The command line does this for flags.
func (f *File) checkWords() error {
	var failed error
	walk(reflect.ValueOf(&f.config).Elem(), func(sf reflect.StructField, v reflect.Value) {
		words := sf.Tag.Get("enum")
		if words == "" || !f.present[sf.Tag.Get("name")] {
			return
		}
		if list := strings.Split(words, ","); !slices.Contains(list, v.String()) {
			failed = fmt.Errorf("%s: %q is none of %s", sf.Tag.Get("name"), v.String(), strings.Join(list, ", "))
		}
	})
	return failed
}

func (f *File) has(name string) bool { return f != nil && f.present[name] }

func (f *File) value(name string) (found reflect.Value) {
	walk(reflect.ValueOf(&f.config).Elem(), func(sf reflect.StructField, v reflect.Value) {
		if sf.Tag.Get("name") == name {
			found = v
		}
	})
	return found
}
