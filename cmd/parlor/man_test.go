package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestManualPages: each command has a page with all the flags that its help shows, and groff, where
// it is installed, has nothing to complain of.
func TestManualPages(t *testing.T) {
	k, err := newParser(&cli{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Log("groff is not installed, so no page was set")
	}
	for _, name := range append(commandNames(k), "") {
		page, err := manPage(k, name)
		if err != nil {
			t.Fatal(err)
		}
		var help strings.Builder
		if status := run(t.Context(), []string{"help", name}, nil, &streams{&help, &help}); name != "" && status != 0 {
			t.Fatalf("help %s: status %d", name, status)
		}
		for word := range strings.FieldsSeq(help.String()) {
			flag, _, _ := strings.Cut(word, "=")
			if strings.HasPrefix(flag, "--") && !strings.Contains(page, roff(flag)) {
				t.Errorf("parlor man %s lacks %s", name, flag)
			}
		}
		if groff == "" {
			continue
		}
		set := exec.Command(groff, "-man", "-ww", "-z", "-Tutf8", "-k")
		set.Stdin = strings.NewReader(page)
		if out, err := set.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("parlor man %s: %v\n%s", name, err, out)
		}
	}
	if _, err := manPage(k, "nothing"); err == nil {
		t.Error("there is a page of a command that does not exist")
	}
}
