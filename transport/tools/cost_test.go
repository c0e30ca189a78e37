package tools

import (
	"fmt"
	"strings"
	"testing"
)

// doubling is a schema in which each of 60 subschemas names the next one twice.
func doubling(twice string) string {
	var defs strings.Builder
	for i := range 60 {
		fmt.Fprintf(&defs, `"d%d":%s,`, i, strings.ReplaceAll(twice, "NEXT", fmt.Sprintf(`{"$ref":"#/$defs/d%d"}`, i+1)))
	}
	return fmt.Sprintf(`{"type":"object","properties":{"a":{"$ref":"#/$defs/d0"}},"$defs":{%s"d60":{"type":"integer"}}}`, &defs)
}

// Arguments for which a schema takes too much work are not checked. These tests would not
// end if they were.
func TestHeavySchemas(t *testing.T) {
	long := strings.Repeat("a", 1<<18)
	for name, test := range map[string]struct{ schema, arguments string }{
		"allOf":            {doubling(`{"allOf":[NEXT,NEXT]}`), `{"a":"x"}`},
		"anyOf in not":     {doubling(`{"not":{"anyOf":[NEXT,NEXT]}}`), `{"a":"x"}`},
		"if":               {doubling(`{"if":NEXT,"then":NEXT,"else":NEXT}`), `{"a":"x"}`},
		"dependentSchemas": {strings.Replace(doubling(`{"dependentSchemas":{"x":NEXT,"y":NEXT}}`), `"type":"integer"`, `"maxProperties":0`, 1), `{"a":{"x":1,"y":1}}`},
		"escaped":          {strings.ReplaceAll(doubling(`{"allOf":[NEXT,NEXT]}`), "/d", "/%64"), `{"a":"x"}`},
		"anchors":          {`{"type":"object","$defs":{"a":{"$anchor":"a","anyOf":[{"properties":{"x":{"$ref":"#a"}}},{"properties":{"x":{"$ref":"#a"}}}],"required":["y"]}},"$ref":"#a"}`, strings.Repeat(`{"x":`, 60) + "{}" + strings.Repeat("}", 60)},
		"itself":           {`{"type":"object","anyOf":[{"properties":{"x":{"$ref":"#"}},"required":["y"]},{"properties":{"x":{"$ref":"#"}},"required":["y"]}]}`, strings.Repeat(`{"x":`, 60) + "{}" + strings.Repeat("}", 60)},
		"another id":       {strings.Replace(doubling(`{"allOf":[NEXT,NEXT]}`), `"a":{`, `"a":{"$id":"mem:other.json","$defs":{},`, 1), `{"a":"x"}`},
		"a loop":           {`{"type":"object","properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"$ref":"#/$defs/x"}}}`, `{"a":1}`},
		"a list":           {`{"type":"object","properties":{"a":{"items":{"enum":[` + strings.Repeat("1,", 5000) + `1]}}}}`, `{"a":[` + strings.Repeat("2,", 5000) + `2]}`},
		"a pattern":        {`{"type":"object","properties":{"a":{"pattern":"^(` + strings.Repeat("(a|b)?", 150) + `){100}$"}}}`, `{"a":"` + long + `"}`},
	} {
		if testing.Short() && name != "allOf" && name != "itself" && name != "a loop" {
			continue
		}
		c, err := newChecker([]byte(test.schema))
		if err != nil {
			if name != "another id" {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if fault := c.fault([]byte(test.arguments)); fault != "" {
			t.Errorf("%s: %.300s", name, fault)
		}
	}
}

// A deep schema takes long to compile, and a number with a large exponent takes long to
// compare.
func TestDeepSchemas(t *testing.T) {
	deep := func(levels int) string {
		return `{"type":"object","properties":{"a":` + strings.Repeat(`{"items":`, levels) + `{}` + strings.Repeat("}", levels) + "}}"
	}
	if _, err := newChecker([]byte(deep(maxDepth))); err != errDeep {
		t.Errorf("a deep schema: %v", err)
	}
	c, err := newChecker([]byte(deep(maxDepth / 2)))
	if err != nil {
		t.Fatal(err)
	}
	if fault := c.fault([]byte(`{"a":[1e999999]}`)); !strings.Contains(fault, "exponent") {
		t.Errorf("a large number: %q", fault)
	}
	if fault := c.fault([]byte(`{"a":[1e300,1e-99]}`)); fault != "" {
		t.Errorf("numbers: %q", fault)
	}
}

// Schemas as tools have them are checked, also large ones and those that contain themselves.
func TestUsualSchemas(t *testing.T) {
	var properties strings.Builder
	for i := range 300 {
		fmt.Fprintf(&properties, `"p%d":{"type":["string","null"],"enum":["a","b",null],"pattern":"^[a-z]{1,100}$"},`, i)
	}
	filter := `{"type":"object","properties":{"filter":{"$ref":"#/$defs/filter"},` + properties.String() + `"rows":{"type":"array","items":{"type":"object","properties":{"n":{"type":"integer"}}}}},
		"$defs":{"filter":{"oneOf":[{"type":"object","properties":{"and":{"type":"array","items":{"$ref":"#/$defs/filter"}}},"required":["and"]},{"type":"object","properties":{"or":{"type":"array","items":{"$ref":"#/$defs/filter"}}},"required":["or"]},{"type":"object","properties":{"is":{"type":"integer"}},"required":["is"]}]}}}`
	c, err := newChecker([]byte(filter))
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Repeat(`{"n":1},`, 2000)
	nested := `{"and":[{"or":[{"and":[{"is":1},{"or":[{"is":%s}]}]}]}]}`
	for value, want := range map[string]bool{"2": true, `"two"`: false} {
		fault := c.fault(fmt.Appendf(nil, `{"rows":[%s{"n":2}],"filter":`+nested+`}`, rows, value))
		if (fault == "") != want {
			t.Errorf("%s: %.300s", value, fault)
		}
	}
	text := strings.Repeat("a", 1<<18)
	if fault := c.fault([]byte(`{"p1":"` + text + `"}`)); fault == "" {
		t.Error("a long text is not checked")
	}
}
