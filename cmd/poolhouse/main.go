// Poolhouse is Amazon Cognito user pools on one's own machine. Everything it does is a command of package cli.
package main

import (
	"os"

	"github.com/poolhouse/poolhouse/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
