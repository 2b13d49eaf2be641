package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

// Ready is what a program needs to use a server that has started. It is the content of the ready file.
type Ready struct {
	Endpoint        string `json:"endpoint"`
	Region          string `json:"region"`
	PID             int    `json:"pid"`
	Data            string `json:"data"` // the data folder
	AccessKeyID     string `json:"access_key_id,omitempty"`
	SecretAccessKey string `json:"secret_access_key,omitempty"`
	Bearer          string `json:"bearer,omitempty"` // token for the plain dialect, when the server verifies
	Inbox           string `json:"inbox,omitempty"`
	Metrics         string `json:"metrics,omitempty"`
}

// write puts the file in place as a whole, readable by its owner only, because it holds keys.
func (r *Ready) write(path string) (err error) {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".ready-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write the ready file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write the ready file: %w", err), os.Remove(f.Name()))
		}
	}()
	if _, err := f.Write(append(text, '\n')); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// WriteIntroduction says where the server is and how to try it. The indented lines work as they are in any POSIX shell, also with the
// AWS CLI of years ago, which does not read AWS_ENDPOINT_URL.
func (a *App) WriteIntroduction(w io.Writer) error {
	r := a.Ready()
	var b strings.Builder
	fmt.Fprintf(&b, "Poolhouse %s answers on %s\n", Build().Version, r.Endpoint)
	keeps := "The database is in " + r.Data + "."
	if a.o.Ephemeral {
		keeps = "Nothing is kept: the database goes when the server stops."
	}
	fmt.Fprintf(&b, "%s E-mail and SMS without another way out are at %s\n", keeps, r.Inbox)
	bearer := ""
	if a.o.AllowRemote {
		b.WriteString("Signatures are verified against the key below; the plain dialect and the inbox want the bearer token.\n")
		bearer = " --header 'authorization: Bearer " + r.Bearer + "'"
	}
	fmt.Fprintf(&b, `
Paste this into another shell:

  export AWS_ACCESS_KEY_ID='%[1]s' AWS_SECRET_ACCESS_KEY='%[2]s'
  export AWS_DEFAULT_REGION='%[3]s' AWS_ENDPOINT_URL='%[4]s' AWS_PAGER=''

  # a pool that verifies e-mail addresses, with a user in it
  pool=$(aws cognito-idp create-user-pool --endpoint-url "$AWS_ENDPOINT_URL" --pool-name demo --auto-verified-attributes email --query UserPool.Id --output text)
  aws cognito-idp admin-create-user --endpoint-url "$AWS_ENDPOINT_URL" --user-pool-id "$pool" --username jane --message-action SUPPRESS

  # update the user's attributes: the new address gets a code
  aws cognito-idp admin-update-user-attributes --endpoint-url "$AWS_ENDPOINT_URL" --user-pool-id "$pool" --username jane --user-attributes Name=email,Value=jane@example.com Name=nickname,Value=Jane

  # the code is in the inbox
  curl --silent --show-error --header 'accept: application/json'%[5]s "$AWS_ENDPOINT_URL/_poolhouse/inbox?to=jane@example.com"

  # the same update in plain JSON
  curl --silent --show-error --request POST --url "$AWS_ENDPOINT_URL/#X-Amz-Target=AWSCognitoIdentityProviderService.AdminUpdateUserAttributes" --header 'accept: application/json' --header 'content-type: application/json'%[5]s --data '{"UserPoolId":"'"$pool"'","Username":"jane","UserAttributes":[{"Name":"nickname","Value":"JJ"}]}'

`, r.AccessKeyID, r.SecretAccessKey, r.Region, r.Endpoint, bearer)
	_, err := io.WriteString(w, b.String())
	return err
}

// BuildInfo says what was built.
type BuildInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
}

// Build returns what the go command wrote into the binary.
func Build() BuildInfo {
	b := BuildInfo{Version: "development", Revision: "unknown revision", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			b.Revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			b.Revision += ", modified"
		}
	}
	return b
}
