package main

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// The file that init writes says nothing, and with each # taken away it says the defaults.
func TestConfigInit(t *testing.T) {
	without, err := loadIn(t, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, out, errs := runIn(t, nil, "config", "init"); status != 0 || !strings.Contains(out, "wrote parlor.yaml") {
		t.Fatalf("status %d: %s%s", status, out, errs)
	}
	text, err := os.ReadFile("parlor.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "\n\n\n\n") || regexp.MustCompile(`(?m)^[^#\n]`).Match(text) {
		t.Errorf("the file sets something, or has holes:\n%.500s", text)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if len(line) > fileWidth+1 && !strings.HasPrefix(line, "#") {
			t.Errorf("a long line: %s", line)
		}
	}
	open := regexp.MustCompile(`(?m)^#([a-z])`).ReplaceAllString(string(text), "$1")
	same, err := loadIn(t, open, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range without.rows {
		a, b := reflect.ValueOf(without.Values).Field(i), reflect.ValueOf(same.Values).Field(i)
		empty := (a.Kind() == reflect.Slice || a.Kind() == reflect.Map) && a.Len() == 0 && b.Len() == 0
		if !empty && !reflect.DeepEqual(a.Interface(), b.Interface()) {
			t.Errorf("%s is %v in the file, and %v by default", row.name, b, a)
		}
	}
	if err := writeConfig("parlor.yaml", nil); err == nil || !strings.Contains(err.Error(), "left as it is") {
		t.Errorf("a file that is there was written over: %v", err)
	}
}

func TestConfigCheck(t *testing.T) {
	if status, out, errs := runIn(t, nil, "config", "check"); status != 0 || !strings.Contains(out, "would start") || errs != "" {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
	if status, out, errs := runIn(t, nil, "config", "check", "--listen=:80"); status != 1 || out != "" || !strings.Contains(errs, "there is no secret") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
}
