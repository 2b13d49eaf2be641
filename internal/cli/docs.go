package cli

type docsCommand struct {
	Dir string `default:"docs/reference" help:"Folder for the pages."`
}

// Run writes the pages.
func (c *docsCommand) Run(s Streams) error { return nil }
